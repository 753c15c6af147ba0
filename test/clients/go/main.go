// A client of the official Go SDK, for tests: `go-client URL`. How it talks: test/clients/programs.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const callTimeout = 30 * time.Second

// The newest version that has sessions: a client of 2026-07-28 has none that its server could forget.
const protocolVersion = "2025-11-25"

// What to do. Not every member is for everything.
type task struct {
	ID        int            `json:"id"`
	Do        string         `json:"do"`
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
	URI       string         `json:"uri"`
	Argument  string         `json:"argument"`
	Value     string         `json:"value"`
	Level     string         `json:"level"`
}

// Everything says its lines at the same time.
var output sync.Mutex

func say(line map[string]any) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		log.Fatal(err)
	}
}

// What is called at the progress of the call that is abandoned.
var abandoned struct {
	sync.Mutex
	cancel context.CancelFunc
}

func onProgress(_ context.Context, request *mcp.ProgressNotificationClientRequest) {
	abandoned.Lock()
	defer abandoned.Unlock()
	if abandoned.cancel != nil {
		abandoned.cancel()
		return
	}
	say(map[string]any{"progress": request.Params.Progress})
}

func onElicit(_ context.Context, request *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
	word := "yes to " + request.Params.Message
	return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"word": word}}, nil
}

func onSample(_ context.Context, request *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	asked, ok := request.Params.Messages[0].Content.(*mcp.TextContent)
	if !ok {
		return nil, fmt.Errorf("a server asked by %T", request.Params.Messages[0].Content)
	}
	return &mcp.CreateMessageResult{Role: "assistant", Model: "test", Content: &mcp.TextContent{Text: "sampled " + asked.Text}}, nil
}

func connect(url string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		LoggingMessageHandler: func(_ context.Context, request *mcp.LoggingMessageRequest) {
			say(map[string]any{"heard": request.Params.Data})
		},
		ProgressNotificationHandler: onProgress,
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			say(map[string]any{"changed": true})
		},
		ElicitationHandler:   onElicit,
		CreateMessageHandler: onSample,
	})
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	handler, err := login()
	if err != nil {
		return nil, err
	}
	transport := &mcp.StreamableClientTransport{Endpoint: url, OAuthHandler: handler}
	return client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocolVersion})
}

func call(ctx context.Context, session *mcp.ClientSession, of task) (*mcp.CallToolResult, error) {
	params := &mcp.CallToolParams{Name: of.Name, Arguments: of.Arguments}
	params.SetProgressToken(of.ID)
	return session.CallTool(ctx, params)
}

func abandon(ctx context.Context, session *mcp.ClientSession, of task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	abandoned.Lock()
	abandoned.cancel = cancel
	abandoned.Unlock()
	_, err := call(ctx, session, of)
	abandoned.Lock()
	abandoned.cancel = nil
	abandoned.Unlock()
	if err == nil {
		return fmt.Errorf("a call that was cancelled has an answer")
	}
	return nil
}

func tools(ctx context.Context, session *mcp.ClientSession) ([]string, error) {
	names := []string{}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

func prompt(ctx context.Context, session *mcp.ClientSession, of task) (any, error) {
	arguments := map[string]string{}
	for name, value := range of.Arguments {
		arguments[name] = fmt.Sprint(value)
	}
	result, err := session.GetPrompt(ctx, &mcp.GetPromptParams{Name: of.Name, Arguments: arguments})
	if err != nil {
		return nil, err
	}
	return result.Messages[0].Content, nil
}

func perform(ctx context.Context, session *mcp.ClientSession, of task) (any, error) {
	switch of.Do {
	case "call":
		result, err := call(ctx, session, of)
		if err != nil {
			return nil, err
		}
		return result.Content, nil
	case "abandon":
		return nil, abandon(ctx, session, of)
	case "tools":
		return tools(ctx, session)
	case "prompt":
		return prompt(ctx, session, of)
	case "read":
		result, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: of.URI})
		if err != nil {
			return nil, err
		}
		return result.Contents[0].Text, nil
	case "complete":
		result, err := session.Complete(ctx, &mcp.CompleteParams{
			Ref:      &mcp.CompleteReference{Type: "ref/prompt", Name: of.Name},
			Argument: mcp.CompleteParamsArgument{Name: of.Argument, Value: of.Value},
		})
		if err != nil {
			return nil, err
		}
		return result.Completion.Values, nil
	case "level":
		return nil, session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(of.Level)})
	case "ping":
		return nil, session.Ping(ctx, nil)
	default:
		return nil, fmt.Errorf("nobody does %q", of.Do)
	}
}

func answer(session *mcp.ClientSession, text []byte) {
	var asked task
	if err := json.Unmarshal(text, &asked); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	result, err := perform(ctx, session, asked)
	if err != nil {
		say(map[string]any{"id": asked.ID, "error": err.Error()})
		return
	}
	say(map[string]any{"id": asked.ID, "answer": result, "session": session.ID()})
}

func main() {
	session, err := connect(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	say(map[string]any{"connected": true})
	var under sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line := append([]byte(nil), lines.Bytes()...)
		under.Go(func() { answer(session, line) })
	}
	under.Wait()
	if err := session.Close(); err != nil {
		log.Fatal(err)
	}
}
