package service

import (
	"context"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/version"
)

const (
	announceEvery = 2 * time.Minute
	announceLife  = 10 * time.Minute
	announceTime  = 5 * time.Second
)

// announceProxy tells the cluster where the proxy is until the context ends, and then that it is gone.
func (d *daemon) announceProxy(ctx context.Context, public string) {
	defer d.withdrawProxy(ctx)
	for {
		wait := announceEvery
		if err := d.putProxy(ctx, public); err != nil {
			d.logger.Warn("proxy was not announced; trying again", "error", err)
			wait = 5 * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (d *daemon) putProxy(ctx context.Context, public string) error {
	r, err := resource.New(resource.KindProxy)
	if err != nil {
		return err
	}
	heartbeat := r.(*resource.Proxy)
	expires := d.now().Add(announceLife).UTC()
	heartbeat.Metadata.Name, heartbeat.Metadata.Expires = d.hostID, &expires
	heartbeat.Spec = resource.ProxySpec{PublicAddr: public, Hostname: d.cfg.Nodename, Version: version.Version}
	json, err := resource.Encode(heartbeat)
	if err != nil {
		return err
	}
	// It is not left in the middle, so that it cannot land after the goodbye.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTime)
	defer cancel()
	_, err = d.client.Resources.PutResource(ctx, &sallyportv1.PutResourceRequest{
		Resource: &sallyportv1.Resource{Kind: resource.KindProxy, Name: d.hostID, Json: json},
	})
	return err
}

// withdrawProxy says goodbye, so that agents and users do not go on trying this proxy.
func (d *daemon) withdrawProxy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTime)
	defer cancel()
	_, err := d.client.Resources.DeleteResource(ctx, &sallyportv1.DeleteResourceRequest{Kind: resource.KindProxy, Name: d.hostID})
	if err != nil && !fault.Is(err, fault.NotFound) {
		d.logger.Warn("proxy could not be withdrawn; its announcement runs out by itself", "error", err)
	}
}
