package kind

import (
	"bufio"
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/limits"
)

// followPod reports the lines that a container logs from now on, as kubectl logs --follow shows them, until the pod is gone. The stream
// ends when the container ends or the API server is cut off; then another one goes on where it was.
func (k *Kind) followPod(ctx context.Context, pod *corev1.Pod, container string, say func(line string)) error {
	tick := time.NewTicker(limits.LogPoll)
	defer tick.Stop()
	last := time.Now()
	for ctx.Err() == nil {
		err := k.followStream(ctx, pod, container, &last, say)
		if apierrors.IsNotFound(err) {
			return nil
		}
		select {
		case <-tick.C: // a fault may cut off the API server for a while
		case <-ctx.Done():
		}
	}
	return nil
}

// followStream reports the lines after last, which it moves on.
func (k *Kind) followStream(ctx context.Context, pod *corev1.Pod, container string, last *time.Time, say func(line string)) error {
	stream, err := k.cluster.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Follow: true, Timestamps: true, SinceTime: &metav1.Time{Time: *last},
	}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		at, line, ok := logged(lines.Text())
		if ok && at.After(*last) { // whole seconds are asked for
			*last = at
			say(line)
		}
	}
	return lines.Err()
}

// logged splits a line of a log with time stamps.
func logged(text string) (at time.Time, line string, ok bool) {
	stamp, line, ok := strings.Cut(text, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	return at, line, ok && err == nil
}
