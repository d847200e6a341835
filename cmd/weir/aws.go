package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"
	"go.uber.org/zap"

	"weir/internal/awshttp"
	"weir/internal/awslocal"
)

// loadAWS finds region, credentials and endpoints as every AWS tool does:
// variables, the shared files, the task's role.
func loadAWS(ctx context.Context, log *zap.Logger) (aws.Config, error) {
	sdk := log.Named("aws-sdk")
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithLogger(logging.LoggerFunc(
		func(class logging.Classification, format string, args ...any) {
			if class == logging.Warn {
				sdk.Warn(fmt.Sprintf(format, args...))
			}
		})))
	if err != nil {
		return cfg, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return cfg, errors.New("no AWS region: set AWS_REGION to the stream's region")
	}
	return cfg, nil
}

// newTables makes a client for tables of DynamoDB.
func newTables(cloud aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cloud, func(o *dynamodb.Options) { o.HTTPClient = awshttp.New(o.HTTPClient) })
}

// standInAWS reaches stand-ins in the same process, without a port.
func standInAWS(server *awslocal.Server) aws.Config {
	return aws.Config{
		Region:      "us-east-1",
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("demo", "demo", "")),
		HTTPClient:  server.HTTPClient(),
	}
}
