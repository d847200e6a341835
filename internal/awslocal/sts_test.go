package awslocal

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/aws/smithy-go"
)

// A role is taken on as the SDK does it, and calls made with it are known by its key.
func TestAssumeRole(t *testing.T) {
	const open, guarded, unknown = "arn:aws:iam::123456789012:role/a/open", "arn:aws:iam::123456789012:role/guarded", "arn:aws:iam::123456789012:role/none"
	server := New(Config{STS: STSConfig{Roles: map[string]string{open: "", guarded: "sesame"}}})
	cloud := aws.Config{Region: "us-east-1", HTTPClient: server.HTTPClient(), Credentials: aws.CredentialsProviderFunc(staticCredentials)}
	for _, tt := range []struct {
		role, externalID, code string
	}{
		{open, "", ""},
		{guarded, "sesame", ""},
		{guarded, "", "AccessDenied"},
		{guarded, "please", "AccessDenied"},
		{unknown, "", "AccessDenied"},
		{"role", "", "ValidationError"},
	} {
		provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cloud), tt.role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "weir"
			if tt.externalID != "" {
				o.ExternalID = &tt.externalID
			}
		})
		creds, err := provider.Retrieve(t.Context())
		var api smithy.APIError
		switch {
		case tt.code != "":
			if !errors.As(err, &api) || api.ErrorCode() != tt.code {
				t.Errorf("%s with %q: %v, want %s", tt.role, tt.externalID, err, tt.code)
			}
			continue
		case err != nil || creds.AccountID != "123456789012" || !creds.CanExpire || time.Until(creds.Expires) < 50*time.Minute:
			t.Errorf("%s with %q: %+v, %v", tt.role, tt.externalID, creds, err)
			continue
		}
		with := cloud
		with.Credentials = provider
		if _, err := wafv2.NewFromConfig(with).ListIPSets(t.Context(), &wafv2.ListIPSetsInput{Scope: types.ScopeCloudfront}); err != nil {
			t.Fatal(err)
		}
		calls := server.Calls()
		if call := calls[len(calls)-1]; call.Key != creds.AccessKeyID || call.Service != "wafv2" {
			t.Errorf("the latest call is %+v, want one signed with %s", call, creds.AccessKeyID)
		}
	}
	if n := server.Counts()[CallKey{"sts", "AssumeRole", "AccessDenied"}]; n != 3 {
		t.Errorf("%d refusals counted, want 3", n)
	}
}

// Faults strike it like any other service.
func TestAssumeRoleFault(t *testing.T) {
	faults := NewFaults(1)
	faults.Add(Fault{Service: "sts", Action: "AssumeRole", Do: FaultError, Code: "ExpiredTokenException", Status: 403})
	cloud := aws.Config{Region: "us-east-1", HTTPClient: New(Config{Faults: faults}).HTTPClient(), Credentials: aws.CredentialsProviderFunc(staticCredentials)}
	role, session := "arn:aws:iam::123456789012:role/weir", "weir"
	_, err := sts.NewFromConfig(cloud).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &session})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "ExpiredTokenException" {
		t.Errorf("got %v", err)
	}
}
