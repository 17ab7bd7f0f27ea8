package readers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// Capturing says what to capture.
type Capturing struct {
	// Link to listen on.
	Link string
	// Snap is how many bytes of each packet are kept.
	Snap int
	// Most is how many packets are kept at the most.
	Most int
}

// Packet is a captured packet.
type Packet struct {
	Time time.Time
	// Length on the wire; Data may be shorter.
	Length int
	Data   []byte
}

// Capture sends the packets of a link until it is cancelled, and returns how many there were.
var Capture = agent.Op[Capturing, Packet, int]{Name: "capture"}

// HandleCapture serves Capture.
func HandleCapture(ctx context.Context, c Capturing, emit func(Packet)) (int, error) {
	link, err := net.InterfaceByName(c.Link)
	if err != nil {
		return 0, fmt.Errorf("capture on %s: %w", c.Link, err)
	}
	conn, err := packet.Listen(link, packet.Raw, unix.ETH_P_ALL, nil)
	if err != nil {
		return 0, fmt.Errorf("capture on %s: %w", c.Link, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	data := make([]byte, 64<<10)
	for count := 0; ; {
		n, _, err := conn.ReadFrom(data)
		switch {
		case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
			return count, nil
		case err != nil:
			return count, fmt.Errorf("capture on %s: %w", c.Link, err)
		}
		if count++; count <= c.Most {
			emit(Packet{Time: time.Now(), Length: n, Data: data[:min(n, c.Snap)]})
		}
	}
}
