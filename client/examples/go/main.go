// SPDX-License-Identifier: Apache-2.0

// Command example scores, generates and decodes with a model of lm_server.
//
//	example localhost:50051 ca.pem TOKEN
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	lmv1 "example/lm/v1"
)

const model = "en"

// bearer sends "authorization: Bearer TOKEN" with each call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

func connect(address, certificate, token string) (*grpc.ClientConn, error) {
	tls, err := credentials.NewClientTLSFromFile(certificate, "")
	if err != nil {
		return nil, err
	}
	// Connections are retried as often as calls are.
	reconnect := grpc.ConnectParams{Backoff: backoff.Config{
		BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: 2 * time.Second}}
	return grpc.NewClient(address, grpc.WithTransportCredentials(tls),
		grpc.WithPerRPCCredentials(bearer(token)), grpc.WithConnectParams(reconnect),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
}

// retry makes a call until it succeeds, fails with an error that is not
// temporary, or ctx ends. It then returns the last error of the server.
func retry(ctx context.Context, call func() error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := call()
		delay, temporary := retryDelay(err, pause)
		if !temporary {
			return err
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
	}
}

// retryDelay returns whether an error is temporary, and when to try again.
func retryDelay(err error, pause time.Duration) (time.Duration, bool) {
	failure := status.Convert(err)
	for _, detail := range failure.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	jitter := 0.8 + 0.4*rand.Float64()
	return time.Duration(jitter * float64(pause)), failure.Code() == codes.Unavailable
}

// score makes a unary call, of low priority and with metadata of its own.
func score(client lmv1.LanguageModelServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx,
		"lm-priority", "bulk", "x-request-id", "example-1")
	request := &lmv1.ScoreRequest{Model: model, Texts: []*lmv1.Text{
		{Form: &lmv1.Text_Text{Text: "the cat is small ."}}}}
	var response *lmv1.ScoreResponse
	err := retry(ctx, func() (err error) {
		response, err = client.Score(ctx, request)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("score %.4f\n", response.Scores[0].LogProb)
	return nil
}

// generate reads a stream and prints each word as soon as it arrives. It tries
// again until the first message.
func generate(client lmv1.LanguageModelServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	temperature := float32(0)
	request := &lmv1.GenerateRequest{
		Model:       model,
		Prompt:      &lmv1.Text{Form: &lmv1.Text_Text{Text: "the cat"}},
		MaxWords:    5,
		Temperature: &temperature,
	}
	var stream grpc.ServerStreamingClient[lmv1.GenerateResponse]
	var message *lmv1.GenerateResponse
	err := retry(ctx, func() (err error) {
		if stream, err = client.Generate(ctx, request); err == nil {
			message, err = stream.Recv()
		}
		return err
	})
	fmt.Print("generate")
	for ; err == nil; message, err = stream.Recv() {
		if word := message.GetWord(); word != nil {
			fmt.Print(" ", word.Word)
		}
	}
	fmt.Println()
	if errors.Is(err, io.EOF) { // the end of a stream without an error
		return nil
	}
	return err
}

// session is a decode stream, which answers its steps in order.
type session struct {
	stream  grpc.BidiStreamingClient[lmv1.DecodeRequest, lmv1.DecodeResponse]
	started *lmv1.DecodeStarted
}

// step sends a request and waits for its answer. The session stays usable after
// a step that failed, but not after an error of the stream.
func (s *session) step(request *lmv1.DecodeRequest) (*lmv1.DecodeResponse, error) {
	// After io.EOF, Recv returns the error that ended the stream.
	if err := s.stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	response, err := s.stream.Recv()
	if failed := response.GetFailed(); failed != nil {
		return nil, status.Error(codes.Code(failed.Code), failed.Message)
	}
	return response, err
}

// start opens a session. It tries again until the start is answered.
func start(ctx context.Context, client lmv1.LanguageModelServiceClient,
	words ...string) (*session, error) {
	request := &lmv1.DecodeRequest{Step: &lmv1.DecodeRequest_Start{
		Start: &lmv1.DecodeStart{Model: model, Words: words}}}
	s := &session{}
	err := retry(ctx, func() (err error) {
		if s.stream, err = client.Decode(ctx); err != nil {
			return err
		}
		response, err := s.step(request)
		s.started = response.GetStarted()
		return err
	})
	return s, err
}

// decode prints ln P(the cat) and the words that may follow. The server keeps
// the state of each hypothesis; the client refers to it by a handle.
func decode(client lmv1.LanguageModelServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel() // ends the session
	s, err := start(ctx, client, "the", "cat")
	if err != nil {
		return err
	}
	handle, logProb := s.started.Handle, 0.0
	for _, word := range s.started.Ids {
		response, err := s.step(&lmv1.DecodeRequest{
			Step: &lmv1.DecodeRequest_Extend{Extend: &lmv1.DecodeExtend{
				Handles: []uint32{handle}, Words: []uint32{word}}},
			Release: []uint32{handle},
		})
		if err != nil {
			return err
		}
		handle = response.GetExtended().Handles[0]
		logProb += float64(response.GetExtended().LogProbs[0])
	}
	response, err := s.step(&lmv1.DecodeRequest{Step: &lmv1.DecodeRequest_Best{
		Best: &lmv1.DecodeBest{Handles: []uint32{handle}, K: 3, Words: true}}})
	if err != nil {
		return err
	}
	fmt.Printf("decode %.4f %s\n", logProb, strings.Join(response.GetBest().Words, " "))
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("example: ")
	if len(os.Args) != 4 {
		log.Fatal("usage: example ADDRESS CA_CERTIFICATE TOKEN")
	}
	connection, err := connect(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := lmv1.NewLanguageModelServiceClient(connection)
	for _, call := range []func(lmv1.LanguageModelServiceClient) error{score, generate, decode} {
		if err := call(client); err != nil {
			log.Fatal(err)
		}
	}
}
