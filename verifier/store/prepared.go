package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
)

// mostPrepared bounds how many statements a connection keeps; postflight has
// fewer, but for lists whose length differs.
const mostPrepared = 256

// limits are parameters that SQLite looks at to plan a statement: it compiles
// it anew whenever another number is bound. River's two queues ask for jobs by
// one statement with two of them, and the engine for as much as it has room
// for. It looks at no sum.
var limits = regexp.MustCompile(`\bLIMIT [?$]\d+`)

// preparing connects to SQLite so that each connection compiles a statement
// once: modernc.org/sqlite compiles it whenever it runs, which takes longer
// than most of them do. pgx keeps statements by itself.
type preparing struct{ driver.Connector }

// Connect returns a connection that keeps its statements.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := made.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no connection to SQLite", made), made.Close())
	}
	return &preparedConn{sqliteConn: conn, kept: map[string]*preparedStmt{}}, nil
}

// sqliteConn is what database/sql uses of a connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStmt is what is used of a statement.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// preparedConn is a connection with its statements, by their text. database/sql
// calls it from one goroutine at a time.
type preparedConn struct {
	sqliteConn
	kept map[string]*preparedStmt
}

type preparedStmt struct {
	sqliteStmt
	reading bool // its rows are not closed: it can't begin again
}

// prepared returns the statement of a text, nil where it is in use.
func (c *preparedConn) prepared(ctx context.Context, text string) (*preparedStmt, error) {
	if s, ok := c.kept[text]; ok {
		if s.reading {
			return nil, nil
		}
		return s, nil
	}
	if len(c.kept) >= mostPrepared {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	made, err := c.PrepareContext(ctx, limits.ReplaceAllString(text, "$0 + 0"))
	if err != nil {
		return nil, err
	}
	stmt, ok := made.(sqliteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no statement of SQLite", made), made.Close())
	}
	s := &preparedStmt{sqliteStmt: stmt}
	c.kept[text] = s
	return s, nil
}

// forget closes what is not in use.
func (c *preparedConn) forget() error {
	var errs []error
	for text, s := range c.kept {
		if !s.reading {
			errs = append(errs, s.Close())
			delete(c.kept, text)
		}
	}
	return errors.Join(errs...)
}

// ExecContext runs a statement that was compiled before.
func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext runs a statement that was compiled before.
func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &preparedRows{Rows: rows, of: s}, nil
}

// Close ends the connection and its statements.
func (c *preparedConn) Close() error {
	errs := []error{}
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	c.kept = nil
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// preparedRows gives the statement back once they are closed.
type preparedRows struct {
	driver.Rows
	of *preparedStmt
}

// Close ends the rows, not the statement.
func (r *preparedRows) Close() error {
	r.of.reading = false
	return r.Rows.Close()
}
