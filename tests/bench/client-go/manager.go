package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// runtimeManager is controller-runtime as most operators use it: a manager, its cache, and a controller for pods.
type runtimeManager struct {
	ctrl.Manager
}

func newManager(config *rest.Config) (side, error) {
	ctrl.SetLogger(klog.NewKlogr())
	made, err := ctrl.NewManager(config, ctrl.Options{
		Cache:                  cache.Options{DefaultTransform: trim},
		Metrics:                server.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
	})
	return &runtimeManager{made}, err
}

func (m *runtimeManager) sync(ctx context.Context) (int, error) {
	go func() {
		if err := m.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	if _, err := m.GetCache().GetInformer(ctx, &corev1.Pod{}); err != nil {
		return 0, err
	}
	if !m.GetCache().WaitForCacheSync(ctx) {
		return 0, errors.New("the cache did not sync")
	}
	// The informer is as it was: only its own list of keys is not to be had here.
	var pods corev1.PodList
	err := m.GetCache().List(ctx, &pods, client.UnsafeDisableDeepCopy)
	return len(pods.Items), err
}

func (m *runtimeManager) work(_ context.Context, book *book) error {
	seen := predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { book.event(e.Object.(*corev1.Pod)); return true },
		UpdateFunc: func(e event.UpdateEvent) bool { book.event(e.ObjectNew.(*corev1.Pod)); return true },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	apply := func(ctx context.Context, wanted *applyv1.ConfigMapApplyConfiguration) error {
		ctx, cancel := context.WithTimeout(ctx, callSeconds)
		defer cancel()
		return m.GetClient().Apply(ctx, wanted, client.FieldOwner(manager), client.ForceOwnership)
	}
	reconcile := func(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
		var pod corev1.Pod
		if err := m.GetClient().Get(ctx, request.NamespacedName, &pod); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		return ctrl.Result{}, book.reconcile(ctx, &pod, apply)
	}
	return ctrl.NewControllerManagedBy(m).
		For(&corev1.Pod{}).
		WithEventFilter(seen).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconciler(reconcile))
}

type reconciler func(context.Context, ctrl.Request) (ctrl.Result, error)

func (r reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return r(ctx, request)
}
