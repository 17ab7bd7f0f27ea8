package netconf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/harness/nflog"
)

// Of the rules with which logging is tried.
const (
	offerTable  = "relapse_offer_log"
	offerGroup  = 1
	offerPrefix = "relapse-offer: "
)

// logOutput makes a table whose only rule logs what leaves the namespace, and returns how to delete it.
func logOutput(rule *expr.Log) (remove func() error, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: offerTable})
	chain := conn.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{rule}})
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("nft log rule: %w", err)
	}
	return func() error {
		conn.DelTable(table)
		return conn.Flush()
	}, nil
}

// sendToSelf sends a packet over the loopback. When it returns, the packet has passed the rules for what leaves.
func sendToSelf() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	conn, err := net.Dial("udp4", "127.0.0.1:9")
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("relapse"))
	return err
}

// tryNFLOG logs a packet to a group and reads it.
func tryNFLOG(ctx context.Context) error {
	group, err := nflog.Open(ctx, offerGroup, nflog.Options{})
	if err != nil {
		return err
	}
	defer group.Close()
	remove, err := logOutput(&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: offerGroup, Data: []byte(offerPrefix)})
	if err != nil {
		return err
	}
	err = sendToSelf()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { group.Close() })
		_, err = group.Receive() // it is there already: the packet was logged while it was sent
		stop()
	}
	return errors.Join(err, remove())
}

func kernelLogRule() *expr.Log {
	return &expr.Log{Key: 1 << unix.NFTA_LOG_PREFIX, Data: []byte(offerPrefix)}
}

// tryLogRule makes a rule that logs to the kernel log.
func tryLogRule() error {
	remove, err := logOutput(kernelLogRule())
	if err != nil {
		return err
	}
	return remove()
}

// tryLogSilent fails where what a rule logs in this namespace gets into the kernel log. The kernel writes such a line while the
// packet is sent, so there is nothing to wait for. Source: linux net/netfilter/nf_log_syslog.c (nf_log_allowed).
func tryLogSilent() (err error) {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := log.Seek(0, 2); err != nil {
		return fmt.Errorf("/dev/kmsg: %w", err)
	}
	remove, err := logOutput(kernelLogRule())
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
		return errors.New("what a rule logs in a node's namespace gets into the kernel log")
	case errors.Is(err, syscall.EAGAIN): // read to its end
		return nil
	}
	return fmt.Errorf("/dev/kmsg: %w", err)
}
