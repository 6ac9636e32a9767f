package main

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// informer is client-go alone: a SharedInformer with a transform, a work queue, and workers that read the lister.
type informer struct {
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
}

func newInformer(config *rest.Config) (side, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim))
	return &informer{client, factory}, nil
}

func (i *informer) sync(ctx context.Context) (int, error) {
	pods := i.factory.Core().V1().Pods().Informer()
	i.factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		return 0, errors.New("the cache did not sync")
	}
	return len(pods.GetStore().ListKeys()), nil
}

func (i *informer) work(ctx context.Context, book *book) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]())
	took := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			book.event(pod)
			queue.Add(cache.MetaObjectToName(pod))
		}
	}
	pods := i.factory.Core().V1().Pods()
	_, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    took,
		UpdateFunc: func(_, now any) { took(now) },
	})
	if err != nil {
		return err
	}
	apply := func(ctx context.Context, wanted *applyv1.ConfigMapApplyConfiguration) error {
		ctx, cancel := context.WithTimeout(ctx, callSeconds)
		defer cancel()
		options := metav1.ApplyOptions{FieldManager: manager, Force: true}
		_, err := i.client.CoreV1().ConfigMaps(namespace).Apply(ctx, wanted, options)
		return err
	}
	lister := pods.Lister()
	for range workers {
		go func() {
			for {
				key, over := queue.Get()
				if over {
					return
				}
				pod, err := lister.Pods(key.Namespace).Get(key.Name)
				if err == nil {
					err = book.reconcile(ctx, pod, apply)
				}
				if err != nil {
					queue.AddRateLimited(key)
				} else {
					queue.Forget(key)
				}
				queue.Done(key)
			}
		}()
	}
	return nil
}
