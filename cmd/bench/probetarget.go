package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

const (
	probeWants  = `status.:.ok`
	probeAnswer = `{"status":"ok","version":"1.42.0","checks":[{"name":"database","state":"ok"},{"name":"queue","state":"ok"}]}`
)

// probeTargets answer as a health page does.
func probeTargets() (plain, secure *httptest.Server, err error) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, probeAnswer) // the caller may have gone
	})
	certificate, err := selfSigned("localhost")
	if err != nil {
		return nil, nil, err
	}
	secure = httptest.NewUnstartedServer(page)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	return httptest.NewServer(page), secure, nil
}

func selfSigned(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the target's key: %w", err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the target's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// byName has the name looked up, as a service's name is.
func byName(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
