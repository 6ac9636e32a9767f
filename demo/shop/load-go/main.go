// The shop's only customer: buys something at the frontend every half second, until it is told to stop.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

var items = []string{"tea", "cup", "kettle"}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	frontend := setting("FRONTEND_URL", "http://frontend:8080")
	every, err := time.ParseDuration(setting("EVERY", "500ms"))
	if err != nil {
		log.Fatalf("EVERY is not a duration such as 500ms: %v", err)
	}

	var bought, failed atomic.Int64
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "bought %d, failed %d\n", bought.Load(), failed.Load())
	})
	server := &http.Server{Addr: ":" + setting("PORT", "8080"), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()

	client := &http.Client{Timeout: 10 * time.Second}
	ticks := time.NewTicker(every)
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			log.Printf("load closed: bought %d, failed %d", bought.Load(), failed.Load())
			_ = server.Close()
			return
		case <-ticks.C:
			if err := buy(ctx, client, frontend, items[turn%len(items)]); err != nil {
				failed.Add(1)
				log.Printf("buying failed: %v", err)
			} else {
				bought.Add(1)
			}
		}
	}
}

func buy(ctx context.Context, client *http.Client, frontend, item string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, frontend+"/buy?item="+item, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the frontend answered %s", response.Status)
	}
	return nil
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
