// Package slack tells people in a channel of Slack, with Block Kit: by an
// incoming webhook, or with a bot token by chat.postMessage and chat.update, so
// that a verification has one message that is edited as it goes on.
package slack
