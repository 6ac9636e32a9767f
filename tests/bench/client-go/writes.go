package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"
)

// writes is as little client as can be: 16 loops of server-side applies, their bodies made beforehand. What they reach
// is the API server's own limit.
func writes(config *rest.Config, count int) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	bodies := make([][]byte, count)
	urls := make([]string, count)
	stamped := monotonic()
	for i := range bodies {
		name := fmt.Sprintf("bare-%05d", i)
		wanted := configMap(name, stamped)
		if bodies[i], err = json.Marshal(wanted); err != nil {
			return err
		}
		urls[i] = fmt.Sprintf("%s/api/v1/namespaces/%s/configmaps/%s?fieldManager=%s&force=true",
			config.Host, namespace, name, manager)
	}
	var next, failed atomic.Int64
	var loops sync.WaitGroup
	began := monotonic()
	for range workers {
		loops.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if !patch(client, urls[i], bodies[i]) {
					failed.Add(1)
				}
			}
		})
	}
	loops.Wait()
	ended := monotonic()
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d of %d writes failed", n, count)
	}
	say(answer{Said: "applied", Count: count, First: began, Last: ended})
	return nil
}

func patch(client *http.Client, url string, body []byte) bool {
	request, err := http.NewRequest(http.MethodPatch, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode < 300
}
