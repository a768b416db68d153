package service

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	dbhealth "sallyport/internal/health"
	"sallyport/internal/resource"
	"sallyport/internal/version"
)

// metrics returns what /metrics shows.
func (d *daemon) metrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{d})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sallyport_build_info", Help: "Always 1; the label is the version.",
		ConstLabels: prometheus.Labels{"version": version.Version}})
	build.Set(1)
	registry.MustRegister(build)
	return registry
}

// collector asks the running parts when somebody reads the metrics.
type collector struct{ *daemon }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sallyport_"+name, help, labels, nil)
}

var (
	sessionsRunning    = describe("db_sessions", "Database sessions that are running at this agent, by protocol.", "protocol")
	sessionsEnded      = describe("db_sessions_total", "Database sessions that have ended at this agent, by protocol and result: ended, refused, cut or error.", "protocol", "result")
	commands           = describe("db_commands_total", "Commands of clients, by protocol and result: ok, error (of the database), or refused (and not passed on).", "protocol", "result")
	malformed          = describe("db_malformed_messages_total", "Messages of clients that could not be read, by protocol. Each ends its session.", "protocol")
	databaseHealth     = describe("db_health", "Databases that this agent serves, by protocol and status of their health: healthy, unknown or unhealthy.", "protocol", "status")
	healthChecks       = describe("db_health_checks_total", "Checks of the health of databases that have ended, by protocol and result: passed, failed, or not_made (by a fault of this agent).", "protocol", "result")
	refusedConnections = describe("refused_connections_total", "Connections that this agent closed because of their certificate, or for lack of one or of a database.")
	auditBacklog       = describe("audit_backlog_events", "Events of this agent that the auth server does not have yet.")
	auditOutage        = describe("audit_outage_seconds", "For how long events could not be delivered; 0 while they can.")
	spoolFailed        = describe("audit_spool_failed", "1 while events cannot be kept on this host's disk, which stops its sessions.")
	agentsConnected    = describe("agents_connected", "Agents that are connected to this proxy, without one in its own process.")
	cacheAge           = describe("cache_age_seconds", "How old this process's view of the cluster is.")
	certificateExpiry  = describe("certificate_expiry_timestamp_seconds", "When a certificate of this process ends, as Unix time.", "certificate")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{sessionsRunning, sessionsEnded, commands, malformed, databaseHealth, healthChecks, refusedConnections, auditBacklog, auditOutage, spoolFailed,
		agentsConnected, cacheAge, certificateExpiry} {
		to <- desc
	}
}

// Collect implements prometheus.Collector. Before the services run there is nothing to tell.
func (c collector) Collect(to chan<- prometheus.Metric) {
	if !c.health.up.Load() {
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(cacheAge, c.cache.Age().Seconds())
	gauge(certificateExpiry, float64(c.member.Identity().Expires.Unix()), "host")
	if c.proxy != nil {
		gauge(agentsConnected, float64(c.proxy.Agents()))
		gauge(certificateExpiry, float64(c.webCerts.expires().Unix()), "web")
	}
	if c.agent == nil {
		return
	}
	stats := c.agent.Stats()
	counter := func(desc *prometheus.Desc, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for protocol, n := range stats.Sessions {
		gauge(sessionsRunning, float64(n), protocol)
	}
	for protocol, tally := range stats.Commands {
		counter(commands, tally.Succeeded.Load(), protocol, "ok")
		counter(commands, tally.Failed.Load(), protocol, "error")
		counter(commands, tally.Refused.Load(), protocol, "refused")
		counter(malformed, tally.Malformed.Load(), protocol)
	}
	for protocol := range stats.Sessions {
		for _, status := range resource.HealthStatuses() {
			gauge(databaseHealth, float64(stats.Healths[protocol][status]), protocol, status)
		}
		for _, result := range dbhealth.Results() {
			counter(healthChecks, stats.Checks[dbhealth.Count{Protocol: protocol, Result: result}], protocol, result)
		}
	}
	gauge(auditBacklog, float64(stats.AuditBacklog))
	gauge(auditOutage, stats.AuditOutage.Seconds())
	failed := 0.0
	if stats.SpoolError != nil {
		failed = 1
	}
	gauge(spoolFailed, failed)
	counter(refusedConnections, stats.Refused)
	for ended, n := range stats.Ended {
		counter(sessionsEnded, n, ended.Protocol, ended.Result)
	}
}
