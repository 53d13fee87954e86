// Package dashboards holds what operators load into Grafana and Prometheus to
// watch postflight itself: a dashboard and alerting rules. The pages that
// people read are in dashboards/board.
package dashboards
