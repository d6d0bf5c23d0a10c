package storage

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// profile is what a row of request_profile says: what many requests share. It
// can be a key of a map.
type profile struct {
	texts [numProfileTexts]string // in the order of profileColumns, "" for none
	// status is the status code; noStatus for none.
	status int64
}

// The texts of a profile.
const (
	profileSpanName = iota
	profileResponseModel
	profileDeployment
	profileEndpoint
	profilePhase
	profileFinishReason
	profileInstance
	profileDecision
	profileDecisionSource
	profileTarget
	profileExperiment
	profileCircuit
	numProfileTexts
)

const (
	noStatus  = -1
	noProfile = -1 // the id of the profile that says nothing
	// atStatus is where status_code stands among the texts in the table.
	atStatus = profileInstance
)

// profileColumns are the columns of request_profile, but for its key and
// newest_s.
var profileColumns = [...]string{
	"span_name", "response_model", "deployment", "endpoint", "phase", "finish_reason", "status_code",
	"instance", "decision", "decision_source", "target", "experiment_id", "circuit",
}

// decisions are those on a tool call that the file admits.
var decisions = [...]string{"accept", "reject", "auto", "modify"}

// values returns the values of profileColumns as texts, "" for none.
func (p *profile) values() []string {
	status := ""
	if p.status != noStatus {
		status = strconv.FormatInt(p.status, 10)
	}
	return slices.Insert(slices.Clone(p.texts[:]), atStatus, status)
}

// profileID returns the id of a row of request_profile: the first 63 bits of
// the SHA-256 of its values, each preceded by its length as four bytes,
// big-endian. Where all are empty it returns noProfile.
func profileID(values []string) int64 {
	var text []byte
	said := false
	for _, value := range values {
		text = binary.BigEndian.AppendUint32(text, uint32(len(value)))
		text = append(text, value...)
		said = said || value != ""
	}
	if !said {
		return noProfile
	}
	sum := sha256.Sum256(text)
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// The migration to schema 5, and verify, ask SQLite for ids.
func init() {
	sqlite.MustRegisterDeterministicScalarFunction("request_profile_id", int32(len(profileColumns)),
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			values := make([]string, len(args))
			for i, arg := range args {
				if arg != nil {
					values[i] = fmt.Sprint(arg)
				}
			}
			if id := profileID(values); id != noProfile {
				return id, nil
			}
			return nil, nil
		})
}

// maxProfiles bounds each generation of profiles that the writer remembers.
const maxProfiles = 1 << 12

// knownProfile is a profile that the file has once the transaction is
// committed.
type knownProfile struct {
	id      int64
	newestS int64 // as in the file
}

// profiles remembers the ids of profiles, at most twice maxProfiles of them:
// once the young generation is full it takes the place of the old one, so that
// what is in use stays.
type profiles struct {
	young, old map[profile]*knownProfile
}

func newProfiles() *profiles { return &profiles{young: map[profile]*knownProfile{}} }

func (p *profiles) find(key *profile) *knownProfile {
	if known := p.young[*key]; known != nil {
		return known
	}
	known := p.old[*key]
	if known != nil {
		p.remember(key, known)
	}
	return known
}

// remember copies the texts, not to hold on to a batch.
func (p *profiles) remember(key *profile, known *knownProfile) {
	if len(p.young) >= maxProfiles {
		p.old, p.young = p.young, make(map[profile]*knownProfile, maxProfiles)
	}
	own := *key
	for i := range own.texts {
		own.texts[i] = strings.Clone(own.texts[i])
	}
	p.young[own] = known
}

// profileOf returns the id of what a row of a span of a run says besides
// numbers.
func (k *keeper) profileOf(r *aggregator.Request, kept int, run string) (int64, error) {
	p := profile{status: noStatus}
	t := &p.texts
	t[profileTarget], t[profileExperiment], t[profileCircuit] = r.Target, r.ExperimentID, r.Circuit
	if kept&keptAsRequest != 0 {
		t[profileSpanName], t[profileResponseModel], t[profileDeployment] = r.SpanName, r.ResponseModel, r.Deployment
		t[profileEndpoint], t[profilePhase], t[profileFinishReason] = r.Endpoint, r.Phase, r.FinishReason
		if r.Known&aggregator.FactStatusCode != 0 {
			p.status = r.StatusCode
		}
	}
	if kept&keptAsRequest != 0 || r.Circuit != "" {
		t[profileInstance] = r.Instance
	}
	if kept&(keptAsRequest|keptForSessions) != 0 {
		if slices.Contains(decisions[:], r.Decision) {
			t[profileDecision] = r.Decision
		}
		t[profileDecisionSource] = r.DecisionSource
	}
	if p == (profile{status: noStatus}) {
		return noProfile, nil
	}
	newest := endOfHour(r.StartUnixNano)
	if k.isPinned(run) {
		newest = pinnedNewest
	}
	return k.profileID(&p, newest)
}

// profileID returns the id of a profile, and makes or updates its row.
func (k *keeper) profileID(p *profile, newestS int64) (int64, error) {
	known := k.profiles.find(p)
	if known == nil {
		clean, notes := p.clean()
		known = k.profiles.find(&clean)
		if known == nil {
			known = &knownProfile{id: profileID(clean.values()), newestS: newestS}
			if err := k.insertProfile(&clean, known); err != nil {
				return 0, err
			}
			k.profiles.remember(&clean, known)
		}
		k.notes |= notes
	}
	if newestS > known.newestS {
		const raise = "UPDATE request_profile SET newest_s = max(newest_s, ?) WHERE profile_id = ?"
		if err := k.exec(k.ctx, raise, newestS, known.id); err != nil {
			return 0, fmt.Errorf("write request_profile: %w", err)
		}
		known.newestS = newestS
	}
	return known.id, nil
}

// clean returns the profile as it is stored, and what that changed.
func (p *profile) clean() (profile, aggregator.Note) {
	clean, notes := *p, aggregator.Note(0)
	for i := range clean.texts {
		var n aggregator.Note
		clean.texts[i], n = aggregator.CleanText(clean.texts[i])
		notes |= n
	}
	return clean, notes
}

var insertProfile = "INSERT INTO request_profile (" + strings.Join(profileColumns[:], ", ") + ", profile_id, newest_s) VALUES (" +
	strings.Repeat("?, ", len(profileColumns)) + "?, ?) ON CONFLICT DO UPDATE SET newest_s = max(newest_s, excluded.newest_s)"

func (k *keeper) insertProfile(p *profile, known *knownProfile) error {
	args := make([]any, 0, len(profileColumns)+2)
	for _, text := range p.texts {
		if text == "" {
			args = append(args, nil)
			continue
		}
		args = append(args, text)
	}
	status := any(nil)
	if p.status != noStatus {
		status = p.status
	}
	args = append(slices.Insert(args, atStatus, status), known.id, known.newestS)
	if err := k.exec(k.ctx, insertProfile, args...); err != nil {
		return fmt.Errorf("write request_profile: %w", err)
	}
	return nil
}

// endOfHour returns the end of the hour of an instant, in Unix seconds.
func endOfHour(unixNano int64) int64 {
	const hour = 3600
	return aggregator.BucketStart(aggregator.UnixSeconds(unixNano), hour) + hour
}
