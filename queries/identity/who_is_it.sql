-- question: Who is behind the suspect credentials, as a person or a machine?
-- why: a role session has no name of its own; source identity, the SSO user, the session name and whoever assumed the role lead to one
-- technique: T1078.004
-- false positives: a session name is whatever its maker typed; a call with invoked_by was made by a service on someone's behalf
WITH mints AS (
    SELECT
        minted_key, principal AS minted_by, access_key_id AS minted_with, event_name AS minted_through, source_ip AS minted_from,
        event_time AS minted_at, event_id AS mint_event_id
    FROM (
        SELECT
            *,
            row_number() OVER (PARTITION BY minted_key ORDER BY event_time, COALESCE(event_id, ''), source_object, source_position) AS time_minted
        FROM events
        WHERE minted_key IS NOT NULL AND principal_type <> 'AWSAccount' AND event_time BETWEEN :baseline_start AND :end
    ) AS minting
    WHERE time_minted = 1
)
SELECT
    e.principal, e.principal_type, e.access_key_id, e.session_name, e.source_identity, e.on_behalf_of, e.user_name, e.account_id,
    COALESCE(contains(:keys, e.access_key_id), false) AS suspect_key, bool_or(e.mfa) AS mfa, bool_or(e.from_console) AS from_console, count_if(e.invoked_by IS NOT NULL) AS invoked_by_services,
    m.minted_by, m.minted_with, m.minted_through, m.minted_from, m.minted_at, m.mint_event_id,
    array_agg(DISTINCT e.source_ip ORDER BY e.source_ip) AS addresses, array_agg(DISTINCT e.user_agent_family ORDER BY e.user_agent_family) AS agents,
    count(*) AS events, min(e.event_time) AS first_seen, max(e.event_time) AS last_seen,
    slice(array_agg(e.event_id ORDER BY e.event_time, e.event_id), 1, 20) AS event_ids
FROM events e
LEFT JOIN mints m ON m.minted_key = e.access_key_id
WHERE (contains(:keys, e.access_key_id) OR contains(:principals, e.principal)) AND e.event_time BETWEEN :start AND :end
  AND contains(:accounts, e.account_id)
GROUP BY
    e.principal, e.principal_type, e.access_key_id, e.session_name, e.source_identity, e.on_behalf_of, e.user_name, e.account_id,
    m.minted_by, m.minted_with, m.minted_through, m.minted_from, m.minted_at, m.mint_event_id
ORDER BY suspect_key DESC, first_seen, e.access_key_id
