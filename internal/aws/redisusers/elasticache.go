package redisusers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"sallyport/internal/aws/described"
)

type elastiCache struct{ *elasticache.Client }

func newElastiCache(cfg aws.Config) elastiCache { return elastiCache{elasticache.NewFromConfig(cfg)} }

func (c elastiCache) page(ctx context.Context, id, token *string) (users []User, next *string, err error) {
	out, err := c.DescribeUsers(ctx, &elasticache.DescribeUsersInput{UserId: id, Marker: token})
	if err != nil {
		return nil, nil, err
	}
	for _, u := range out.Users {
		one := User{ID: aws.ToString(u.UserId), Name: aws.ToString(u.UserName), ARN: aws.ToString(u.ARN), Status: aws.ToString(u.Status), Groups: u.UserGroupIds}
		if u.Authentication != nil {
			one.Kind = Kind(u.Authentication.Type)
		}
		users = append(users, one)
	}
	return users, out.Marker, nil
}

func (c elastiCache) tags(ctx context.Context, arn string) (map[string]string, error) {
	out, err := c.ListTagsForResource(ctx, &elasticache.ListTagsForResourceInput{ResourceName: aws.String(arn)})
	if err != nil {
		return nil, err
	}
	return described.CacheTags(out.TagList), nil
}

func (c elastiCache) setPasswords(ctx context.Context, id string, passwords []string) error {
	_, err := c.ModifyUser(ctx, &elasticache.ModifyUserInput{UserId: aws.String(id), Passwords: passwords, NoPasswordRequired: aws.Bool(false)})
	return err
}
