package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// demote takes back that rows are kept as requests: rest is what they are kept
// for besides, keptForSessions and keptForFaults or one of them. They lose what
// only requests have. All at once: row by row it would take ten times as long,
// and callers may wait.
func demote(ctx context.Context, exec func(context.Context, string, ...any) error, ids []int64, rest int) error {
	if len(ids) == 0 {
		return nil
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	for _, statement := range []string{insertRestOfProfiles, demoteRows} {
		if err := exec(ctx, statement, string(text), rest); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	return nil
}

// In these statements ?1 are the ids of rows as a JSON array, ?2 is what they
// are kept for.
var (
	// restOfProfiles has, of each profile of the rows, what is left of it: only
	// with a circuit the instance, and only of sessions the decision.
	restOfProfiles = `WITH left_of AS MATERIALIZED (
			SELECT profile_id AS whole, iif(circuit IS NOT NULL, instance, NULL) AS instance,
				iif(?2 & 2, decision, NULL) AS decision, iif(?2 & 2, decision_source, NULL) AS decision_source,
				target, experiment_id, circuit, newest_s
			FROM request_profile
			WHERE profile_id IN (SELECT profile_id FROM request WHERE id IN (SELECT value FROM json_each(?1)))
		), rest AS MATERIALIZED (
			SELECT request_profile_id(NULL, NULL, NULL, NULL, NULL, NULL, NULL, instance, decision, decision_source, target,
				experiment_id, circuit) AS profile_id, *
			FROM left_of
		) `
	insertRestOfProfiles = restOfProfiles + `INSERT INTO request_profile (profile_id, instance, decision, decision_source,
			target, experiment_id, circuit, newest_s)
		SELECT profile_id, instance, decision, decision_source, target, experiment_id, circuit, max(newest_s)
		FROM rest WHERE profile_id IS NOT NULL GROUP BY profile_id
		ON CONFLICT DO UPDATE SET newest_s = max(newest_s, excluded.newest_s)`
	demoteRows = func() string {
		set := []string{"kept = ?2", "profile_id = (SELECT profile_id FROM rest WHERE whole = request.profile_id)"}
		for _, c := range requestOnlyColumns {
			set = append(set, requestColumnNames[c]+" = NULL")
		}
		for _, c := range []requestColumn{columnRole, columnSession, columnToolCallID} {
			name := requestColumnNames[c]
			set = append(set, name+" = iif(?2 & 2, "+name+", NULL)")
		}
		return restOfProfiles + "UPDATE request SET " + strings.Join(set, ", ") + " WHERE id IN (SELECT value FROM json_each(?1))"
	}()
)
