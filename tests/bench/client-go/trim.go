package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	labels      = []string{"odigos.io/instrumented", "odigos.io/collectors-group", "app.kubernetes.io/component", "pod-template-hash"}
	annotations = []string{"odigos.io/injected", "odigos.io/config-hash", "odigos.io/detects", "odigos.io/question"}
)

// trim keeps of a pod exactly the fields that the Python side's view has (api/builtin.py), in new memory: what came
// off the wire can go.
func trim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil // a tombstone
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              pod.Name,
			Namespace:         pod.Namespace,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			Generation:        pod.Generation,
			Labels:            chosen(pod.Labels, labels),
			Annotations:       chosen(pod.Annotations, annotations),
			CreationTimestamp: pod.CreationTimestamp,
			DeletionTimestamp: pod.DeletionTimestamp,
		},
		Spec: corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status: corev1.PodStatus{
			Phase:                 pod.Status.Phase,
			Reason:                pod.Status.Reason,
			Message:               pod.Status.Message,
			PodIP:                 pod.Status.PodIP,
			ContainerStatuses:     statuses(pod.Status.ContainerStatuses),
			InitContainerStatuses: statuses(pod.Status.InitContainerStatuses),
		},
	}
	if len(pod.OwnerReferences) > 0 {
		kept.OwnerReferences = make([]metav1.OwnerReference, len(pod.OwnerReferences))
		for i, o := range pod.OwnerReferences {
			kept.OwnerReferences[i] = metav1.OwnerReference{
				Kind: o.Kind, Name: o.Name, Controller: o.Controller,
			}
		}
	}
	kept.Status.Conditions = make([]corev1.PodCondition, len(pod.Status.Conditions))
	for i, c := range pod.Status.Conditions {
		kept.Status.Conditions[i] = corev1.PodCondition{Type: c.Type, Status: c.Status, Message: c.Message}
	}
	return kept, nil
}

func statuses(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	if len(all) == 0 {
		return nil
	}
	kept := make([]corev1.ContainerStatus, len(all))
	for i, s := range all {
		kept[i] = corev1.ContainerStatus{
			Name:                 s.Name,
			Ready:                s.Ready,
			ImageID:              s.ImageID,
			ContainerID:          s.ContainerID,
			State:                state(s.State),
			LastTerminationState: state(s.LastTerminationState),
		}
	}
	return kept
}

func state(s corev1.ContainerState) corev1.ContainerState {
	kept := corev1.ContainerState{}
	if w := s.Waiting; w != nil {
		kept.Waiting = &corev1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}
	}
	if t := s.Terminated; t != nil {
		kept.Terminated = &corev1.ContainerStateTerminated{ExitCode: t.ExitCode, Reason: t.Reason, Message: t.Message}
	}
	return kept
}

func chosen(all map[string]string, names []string) map[string]string {
	var kept map[string]string
	for _, name := range names {
		if value, ok := all[name]; ok {
			if kept == nil {
				kept = make(map[string]string, 1)
			}
			kept[name] = value
		}
	}
	return kept
}
