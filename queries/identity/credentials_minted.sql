-- question: Which credentials did the suspects mint, and those in turn?
-- why: each is a way to go on after the first key is disabled; the closure of this list is what containment must cover
-- technique: T1550.001
-- false positives: a role that others use too: rows through the principal only (not the key) may be theirs
WITH mints AS (
    -- AssumeRole is a read-only call: a filter on writes would lose every hop
    SELECT
        event_time, event_id, account_id, region, event_name, principal, access_key_id, source_ip, user_agent, minted_key, minted_principal,
        CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS direct
    FROM (
        SELECT
            *,
            -- a key is minted once, though both accounts of a call record it
            row_number() OVER (PARTITION BY COALESCE(minted_key, event_id), account_id ORDER BY event_time, event_id, region, principal, source_ip, source_object, source_position) AS time_minted
        FROM events
        WHERE (minted_key IS NOT NULL OR minted_principal IS NOT NULL) AND COALESCE(minted_key, '') <> COALESCE(access_key_id, '-')
          AND outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
    ) AS minting
    WHERE time_minted = 1
),
known AS (
    SELECT map_agg(minted_key, minter) AS minted_by, map_agg(minted_key, direct) AS of_suspect
    FROM (
        -- only the keys that minted others: a chain goes through no other, and there are few of them
        SELECT minted_key, min(access_key_id) AS minter, min(direct) AS direct
        FROM mints
        WHERE minted_key IN (SELECT access_key_id FROM mints)
        GROUP BY minted_key
    ) AS minter_of
),
walks AS (
    -- from each mint back to its first key; a recursive query would read the logs again for each hop
    SELECT
        m.*,
        transform(
            reduce(
                repeat(ARRAY[m.access_key_id], 7), ARRAY[m.access_key_id],
                (path, turn) -> CASE
                    WHEN contains(path, element_at(k.minted_by, element_at(path, -1))) THEN path
                    ELSE path || ARRAY[COALESCE(element_at(k.minted_by, element_at(path, -1)), element_at(path, -1))]
                END,
                path -> path
            ),
            minter -> element_at(k.of_suspect, minter)
        ) AS ways
    FROM mints m
    CROSS JOIN known k
),
closure AS (
    SELECT
        w.*,
        CASE
            WHEN direct IS NOT NULL THEN 1
            ELSE 1 + least(
                COALESCE(NULLIF(array_position(ways, 'key'), 0), 99), COALESCE(NULLIF(array_position(ways, 'principal'), 0), 99))
        END AS hop,
        CASE WHEN direct = 'key' OR contains(ways, 'key') THEN 'key' ELSE 'principal' END AS through
    FROM walks w
)
SELECT
    hop, through, event_time, event_id, account_id, region, event_name, principal, access_key_id, minted_key, minted_principal,
    source_ip, user_agent
FROM closure
WHERE hop < 10
ORDER BY event_time, event_id, account_id
