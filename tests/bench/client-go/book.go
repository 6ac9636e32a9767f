package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// book counts what the harness waits for, and answers when it is all there.
type book struct {
	lock   sync.Mutex
	said   string
	wanted int
	opened int64
	count  int
	first  int64
	last   int64
	delays []int64
}

func (b *book) open(said string, wanted int) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.said, b.wanted, b.opened = said, wanted, monotonic()
	b.count, b.first, b.last, b.delays = 0, 0, 0, nil
}

// event is told each event of the watch.
func (b *book) event(pod *corev1.Pod) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.said == "burst" && stamp(pod) > b.opened {
		b.add(monotonic())
	}
}

type applyFunc func(ctx context.Context, wanted *applyv1.ConfigMapApplyConfiguration) error

// reconcile is what each side does with a pod that it found in its cache.
func (b *book) reconcile(ctx context.Context, pod *corev1.Pod, apply applyFunc) error {
	b.lock.Lock()
	said, opened := b.said, b.opened
	b.lock.Unlock()
	began := monotonic()
	stamped := stamp(pod)
	switch said {
	case "working":
	case "measured":
		if stamped <= opened {
			return nil
		}
	case "applied":
		if stamped <= opened {
			return nil
		}
		if err := apply(ctx, configMap(pod.Name, stamped)); err != nil {
			return err
		}
	default:
		return nil
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	if said == "measured" {
		b.delays = append(b.delays, began-stamped)
	}
	b.add(began)
	if said == "applied" {
		b.last = monotonic()
	}
	b.answer()
	return nil
}

// add is called with the lock held.
func (b *book) add(at int64) {
	if b.count == 0 {
		b.first = at
	}
	b.count++
	b.last = at
	if b.said == "burst" {
		b.answer()
	}
}

func (b *book) answer() {
	if b.count == b.wanted {
		say(answer{Said: b.said, Count: b.count, First: b.first, Last: b.last, Delays: b.delays})
	}
}

func stamp(pod *corev1.Pod) int64 {
	at, _ := strconv.ParseInt(pod.Annotations[stampAnnotation], 10, 64)
	return at
}

func configMap(name string, stamped int64) *applyv1.ConfigMapApplyConfiguration {
	return applyv1.ConfigMap(name, namespace).
		WithLabels(map[string]string{"app.kubernetes.io/managed-by": "bench"}).
		WithData(map[string]string{"at": strconv.FormatInt(stamped, 10), "pod": name})
}

// callSeconds bounds each call, as the Python side's do.
const callSeconds = 15 * time.Second
