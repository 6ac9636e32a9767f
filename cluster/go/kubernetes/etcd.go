package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd is one member on loopback. Without fsync: what a cluster for trying things loses in a power cut is nothing.
func etcd() int {
	data := flag.String("data-dir", "", "where the data is kept")
	client := flag.String("listen-client-url", "http://127.0.0.1:2379", "where clients are served")
	peer := flag.String("listen-peer-url", "http://127.0.0.1:2380", "where peers would be")
	flag.Parse()
	config := embed.NewConfig()
	config.Dir = *data
	config.LogLevel = "warn"
	config.UnsafeNoFsync = true
	config.QuotaBackendBytes = 4 << 30
	for _, listener := range []struct {
		text               string
		listen, advertised *[]url.URL
	}{
		{*client, &config.ListenClientUrls, &config.AdvertiseClientUrls},
		{*peer, &config.ListenPeerUrls, &config.AdvertisePeerUrls},
	} {
		address, err := url.Parse(listener.text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			return 2
		}
		*listener.listen, *listener.advertised = []url.URL{*address}, []url.URL{*address}
	}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	member, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	defer member.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return 0
	case err := <-member.Err():
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
}
