package awslocal

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testCredentials are good for every stand-in: signatures are not checked.
func testCredentials() aws.CredentialsProvider {
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(staticCredentials))
}

// newWAFClient is the real SDK's client, in process, without its retries.
func newWAFClient(s *Server, region string) *wafv2.Client {
	return wafv2.New(wafv2.Options{
		Region: region, BaseEndpoint: aws.String("http://waf.test"), HTTPClient: s.HTTPClient(),
		Credentials: testCredentials(), Retryer: aws.NopRetryer{},
	})
}

// newDynamoClient is the real SDK's client, in process, without its retries.
func newDynamoClient(s *Server) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://dynamodb.test"), HTTPClient: s.HTTPClient(),
		Credentials: testCredentials(), Retryer: aws.NopRetryer{},
	})
}
