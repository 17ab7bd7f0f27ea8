package features

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nflog"
)

// Values of the rules that try logging.
const (
	offerTable  = "relapse_offer_log"
	offerGroup  = 1
	offerPrefix = "relapse-offer: "
)

// tryNFLOG logs a packet to a group and reads it.
func tryNFLOG(ctx context.Context) error {
	group, err := nflog.Open(ctx, offerGroup)
	if err != nil {
		return err
	}
	defer group.Close()
	remove, err := addOutputRule(offerTable, &expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: offerGroup, Data: []byte(offerPrefix)})
	if err != nil {
		return err
	}
	err = sendToSelf()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { group.Close() })
		_, err = group.Receive() // does not block: the packet was logged while it was sent
		stop()
	}
	return errors.Join(err, remove())
}

func kernelLogRule() *expr.Log {
	return &expr.Log{Key: 1 << unix.NFTA_LOG_PREFIX, Data: []byte(offerPrefix)}
}

// tryLogRule makes a rule that logs to the kernel log.
func tryLogRule() error {
	remove, err := addOutputRule(offerTable, kernelLogRule())
	if err != nil {
		return err
	}
	return remove()
}

// tryLogSilent fails if a LOG rule in this namespace writes to the kernel log. The kernel writes such a line while the packet is sent, so
// there is nothing to wait for. Source: linux net/netfilter/nf_log_syslog.c (nf_log_allowed).
func tryLogSilent() (err error) {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := log.Seek(0, 2); err != nil {
		return fmt.Errorf("/dev/kmsg: %w", err)
	}
	remove, err := addOutputRule(offerTable, kernelLogRule())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := sendToSelf(); err != nil {
		return err
	}
	raw, err := log.SyscallConn()
	if err != nil {
		return err
	}
	record := make([]byte, 8<<10) // one read gives one record
	readErr := raw.Read(func(fd uintptr) bool {
		for {
			var n int
			n, err = syscall.Read(int(fd), record)
			switch {
			case errors.Is(err, syscall.EPIPE): // records were overwritten before they were read
			case err != nil, strings.Contains(string(record[:n]), offerPrefix):
				return true
			}
		}
	})
	switch {
	case readErr != nil:
		return readErr
	case err == nil:
		return errors.New("LOG rules in a node's namespace write to the kernel log")
	case errors.Is(err, syscall.EAGAIN): // read to its end
		return nil
	}
	return fmt.Errorf("/dev/kmsg: %w", err)
}
