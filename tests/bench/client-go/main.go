// The peer of the benchmark: what a controller in Go does with the same pods, by client-go or by controller-runtime.
//
// It obeys the harness: commands come as JSON lines on standard input, answers go out as JSON lines, and it ends with
// its input. The Python side (runtime.py) speaks the same words:
//
//	sync          list and watch all pods              -> synced {objects, at}
//	work          reconcile each pod, 16 at once       -> working {count, first, last}
//	burst {n}     count the next n events              -> burst {count, first, last}
//	measure {n}   from stamp to reconcile, n times     -> measured {delays}
//	apply {n}     one server-side apply a reconcile    -> applied {count, first, last}
//	collect       collect garbage, give memory back    -> collected
//
// Times are nanoseconds of CLOCK_MONOTONIC, so that they compare with the harness's.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
)

const (
	workers   = 16
	namespace = "bench"
	manager   = "bench"
	// The harness writes the time of an event here, as the view keeps it; reconcile reads it from the cache.
	stampAnnotation = "odigos.io/injected"
)

type command struct {
	Do    string `json:"do"`
	Count int    `json:"count"`
}

type answer struct {
	Said    string  `json:"said"`
	Objects int     `json:"objects,omitempty"`
	Count   int     `json:"count,omitempty"`
	At      int64   `json:"at,omitempty"`
	First   int64   `json:"first,omitempty"`
	Last    int64   `json:"last,omitempty"`
	Delays  []int64 `json:"delays,omitempty"`
}

var speaking sync.Mutex

func say(a answer) {
	line, err := json.Marshal(a)
	if err != nil {
		fail(err)
	}
	speaking.Lock()
	defer speaking.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		fail(err)
	}
	return now.Nano()
}

// side is one way of keeping a cache and working from it.
type side interface {
	// sync returns when the cache holds every pod, and how many there are.
	sync(ctx context.Context) (int, error)
	// work starts the workers; they reconcile each pod once, and then what changes.
	work(ctx context.Context, book *book) error
}

func main() {
	mode := flag.String("mode", "", "informer, manager, or writes: the bare loop that finds the server's own limit")
	server := flag.String("server", "", "https://HOST:PORT")
	ca := flag.String("ca", "", "file of the CA")
	token := flag.String("token", "", "bearer token")
	content := flag.String("content", "application/vnd.kubernetes.protobuf", "how objects are asked for")
	count := flag.Int("count", 0, "with -mode writes: how many")
	flag.Parse()
	config := &rest.Config{
		Host:            *server,
		BearerToken:     *token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: *ca},
		ContentConfig:   rest.ContentConfig{ContentType: *content, AcceptContentTypes: *content + ",application/json"},
		QPS:             -1, // no limit of its own
	}
	if *mode == "manager" {
		config.ContentConfig = rest.ContentConfig{} // it chooses protobuf itself, where that can be
	}
	ctx := context.Background()
	var chosen side
	var err error
	switch *mode {
	case "informer":
		chosen, err = newInformer(config)
	case "manager":
		chosen, err = newManager(config)
	case "writes":
		if err := writes(config, *count); err != nil {
			fail(err)
		}
		return
	default:
		err = fmt.Errorf("no such mode: %q", *mode)
	}
	if err != nil {
		fail(err)
	}
	say(answer{Said: "ready"})
	if err := obey(ctx, chosen); err != nil {
		fail(err)
	}
}

func obey(ctx context.Context, chosen side) error {
	book := &book{}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var c command
		if err := json.Unmarshal(input.Bytes(), &c); err != nil {
			return err
		}
		switch c.Do {
		case "sync":
			objects, err := chosen.sync(ctx)
			if err != nil {
				return err
			}
			say(answer{Said: "synced", Objects: objects, At: monotonic()})
		case "work":
			book.open("working", c.Count)
			if err := chosen.work(ctx, book); err != nil {
				return err
			}
		case "burst", "measure", "apply":
			book.open(map[string]string{"burst": "burst", "measure": "measured", "apply": "applied"}[c.Do], c.Count)
			say(answer{Said: "armed"})
		case "collect":
			debug.FreeOSMemory()
			say(answer{Said: "collected"})
		default:
			return fmt.Errorf("no such command: %q", c.Do)
		}
	}
	return input.Err()
}
