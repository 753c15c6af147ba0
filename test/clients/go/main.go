// A client of the official Go SDK, for tests: `go-client URL`. How it talks: test/support/clients.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const callTimeout = 30 * time.Second

// The newest version that has sessions: a client of 2026-07-28 has none that its server could forget.
const protocolVersion = "2025-11-25"

type call struct {
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
}

// The handlers of notifications run beside the calls.
var output sync.Mutex

func say(line map[string]any) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		log.Fatal(err)
	}
}

func connect(url string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		LoggingMessageHandler: func(_ context.Context, request *mcp.LoggingMessageRequest) {
			say(map[string]any{"heard": request.Params.Data})
		},
		ProgressNotificationHandler: func(_ context.Context, request *mcp.ProgressNotificationClientRequest) {
			say(map[string]any{"progress": request.Params.Progress})
		},
	})
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	transport := &mcp.StreamableClientTransport{Endpoint: url}
	return client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocolVersion})
}

func answer(session *mcp.ClientSession, text []byte, token int) map[string]any {
	var asked call
	if err := json.Unmarshal(text, &asked); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	params := &mcp.CallToolParams{Name: asked.Tool, Arguments: asked.Arguments}
	params.SetProgressToken(token)
	result, err := session.CallTool(ctx, params)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"content": result.Content, "session": session.ID()}
}

func main() {
	session, err := connect(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	say(map[string]any{"connected": true})
	lines := bufio.NewScanner(os.Stdin)
	for token := 1; lines.Scan(); token++ {
		say(answer(session, lines.Bytes(), token))
	}
	if err := session.Close(); err != nil {
		log.Fatal(err)
	}
}
