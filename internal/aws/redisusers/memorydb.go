package redisusers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"
	"github.com/aws/aws-sdk-go-v2/service/memorydb/types"

	"sallyport/internal/aws/described"
)

type memoryDB struct{ *memorydb.Client }

func newMemoryDB(cfg aws.Config) memoryDB { return memoryDB{memorydb.NewFromConfig(cfg)} }

func (c memoryDB) page(ctx context.Context, id, token *string) (users []User, next *string, err error) {
	out, err := c.DescribeUsers(ctx, &memorydb.DescribeUsersInput{UserName: id, NextToken: token})
	if err != nil {
		return nil, nil, err
	}
	for _, u := range out.Users {
		name := aws.ToString(u.Name)
		one := User{ID: name, Name: name, ARN: aws.ToString(u.ARN), Status: aws.ToString(u.Status), Groups: u.ACLNames}
		if u.Authentication != nil {
			one.Kind = Kind(u.Authentication.Type)
		}
		users = append(users, one)
	}
	return users, out.NextToken, nil
}

func (c memoryDB) tags(ctx context.Context, arn string) (map[string]string, error) {
	out, err := c.ListTags(ctx, &memorydb.ListTagsInput{ResourceArn: aws.String(arn)})
	if err != nil {
		return nil, err
	}
	return described.MemoryTags(out.TagList), nil
}

func (c memoryDB) setPasswords(ctx context.Context, name string, passwords []string) error {
	_, err := c.UpdateUser(ctx, &memorydb.UpdateUserInput{UserName: aws.String(name),
		AuthenticationMode: &types.AuthenticationMode{Type: types.InputAuthenticationTypePassword, Passwords: passwords}})
	return err
}
