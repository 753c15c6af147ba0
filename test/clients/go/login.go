package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const redirectURI = "http://127.0.0.1:1/callback"

// For a client whose user has a browser, which the environment names. With a client id of its own it need not register.
func login() (auth.OAuthHandler, error) {
	browser := os.Getenv("BROWSER_URL")
	if browser == "" {
		return nil, nil
	}
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL: redirectURI,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return open(ctx, browser, args.URL)
		},
	}
	if id := os.Getenv("CLIENT_ID"); id != "" {
		config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: id}
	} else {
		config.DynamicClientRegistrationConfig = &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "test",
				RedirectURIs:            []string{redirectURI},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
			},
		}
	}
	return auth.NewAuthorizationCodeHandler(config)
}

// Given an address, the browser says where it ends.
func open(ctx context.Context, browser, address string) (*auth.AuthorizationResult, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, browser+"?url="+url.QueryEscape(address), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	end, err := url.Parse(string(body))
	if err != nil {
		return nil, err
	}
	query := end.Query()
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}
