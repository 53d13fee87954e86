package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates of the tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir, pool: x509.NewCertPool()}
	a.cert, a.key = a.sign(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	return a
}

// sign makes NAME.pem and NAME.key.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(a.t, err)
	c.Subject = pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	write := func(file, kind string, der []byte) {
		require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write(name+".pem", "CERTIFICATE", der)
	write(name+".key", "PRIVATE KEY", private)
	made, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return made, key
}

func (a *authority) server(name string) *x509.Certificate {
	made, _ := a.sign(name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return made
}

// client has the certificate of that name; "" is none.
func (a *authority) client(name string) *http.Client {
	a.t.Helper()
	config := &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS12}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"))
		require.NoError(a.t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func overTLS(t *testing.T, webConfig string) (a *App, o Options, ca *authority) {
	t.Helper()
	o = configuration(t)
	dir := filepath.Dir(o.ConfigFile)
	ca = newAuthority(t, dir, "ca")
	ca.server("server")
	o.WebConfigFile = filepath.Join(dir, "web.yml")
	require.NoError(t, os.WriteFile(o.WebConfigFile, []byte(webConfig), 0o600))
	a = started(t, o)
	t.Cleanup(func() { require.NoError(t, a.Stop()) })
	return a, o, ca
}

func announceWith(t *testing.T, c *http.Client, a *App) (status int, answer string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+a.Address()+"/api/v1/deployments",
		strings.NewReader(`{"service":"checkout","environment":"production","version":"1.42.0"}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b), nil
}

func TestTLS(t *testing.T) {
	a, _, ca := overTLS(t, "tls_server_config: { cert_file: server.pem, key_file: server.key }\n")
	status, answer, err := announceWith(t, ca.client(""), a)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Contains(t, answer, `"url":"https://`, "links lead to where it is served")

	_, _, err = announceWith(t, newAuthority(t, t.TempDir(), "stranger").client(""), a)
	require.ErrorContains(t, err, "certificate")
	plain, err := http.Get("http://" + a.Address() + "/-/healthy")
	require.NoError(t, err)
	require.NoError(t, plain.Body.Close())
	require.Equal(t, http.StatusBadRequest, plain.StatusCode, "nothing is served without TLS")
	_, err = (&tls.Dialer{Config: &tls.Config{RootCAs: ca.pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}}).DialContext(t.Context(), "tcp", a.Address())
	require.ErrorContains(t, err, "protocol version")
}

func TestTLSOverHTTP2(t *testing.T) {
	a, _, ca := overTLS(t, "tls_server_config: { cert_file: server.pem, key_file: server.key }\nhttp_server_config: { http2: true }\n")
	c := ca.client("")
	transport := c.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2, transport.DisableKeepAlives = true, false
	defer transport.CloseIdleConnections()
	status, answer, err := announceWith(t, c, a)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status, answer)
	resp, err := c.Get("https://" + a.Address() + "/api/v1/verifications")
	require.NoError(t, err)
	require.Equal(t, 2, resp.ProtoMajor)
	require.NoError(t, resp.Body.Close())

	// The intake reads no further than its limit here either.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+a.Address()+"/api/v1/deployments", io.LimitReader(endless{}, 64<<20))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err = c.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}

// endless is white space.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte(" "), len(b))), nil }

func TestTLSWithClientCertificates(t *testing.T) {
	a, _, ca := overTLS(t, "tls_server_config: { cert_file: server.pem, key_file: server.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem }\n")
	ca.sign("pipeline", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	status, answer, err := announceWith(t, ca.client("pipeline"), a)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status, answer)
	_, _, err = announceWith(t, ca.client(""), a)
	require.ErrorContains(t, err, "certificate required")
	stranger := newAuthority(t, t.TempDir(), "stranger")
	stranger.sign("pipeline", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	stranger.pool = ca.pool
	_, _, err = announceWith(t, stranger.client("pipeline"), a)
	require.Error(t, err)
}

// TestCertificatesAreReadAnew renews a certificate under the running daemon.
func TestCertificatesAreReadAnew(t *testing.T) {
	a, o, ca := overTLS(t, "tls_server_config: { cert_file: server.pem, key_file: server.key }\n")
	serial := func() string {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", a.Address())
		require.NoError(t, err)
		defer conn.Close() // nothing was sent
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	renewed := ca.server("server").SerialNumber.String()
	require.NotEqual(t, first, renewed)
	require.Equal(t, renewed, serial())

	// A web configuration that has got users locks the intake at once; the
	// reload says so.
	require.NoError(t, os.WriteFile(o.WebConfigFile, fmt.Appendf(nil, "tls_server_config: { cert_file: server.pem, key_file: server.key }\n%s", users), 0o600))
	require.ErrorContains(t, a.Reload(t.Context()), "lock the intake")
	require.NoError(t, os.WriteFile(o.WebConfigFile, []byte("tls_server_config: { cert_file: server.pem, key_file: server.key }\n"), 0o600))
	require.NoError(t, a.Reload(t.Context()))
}

const users = "basic_auth_users:\n  dana: $2a$10$EYUh5Bl1BQ6QQWwFLxZDVOmVaLNpcWzpvNRIrpWAhQ7ZXoIWN8RYC\n"
