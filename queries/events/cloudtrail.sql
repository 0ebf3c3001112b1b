-- adapter: cloudtrail_logs (the layout of the table in AWS's Athena documentation) to events, one row per record
-- reads: the documented columns; eventcategory .. unmodelled, account and the link columns are NULL where an engine has none
WITH record AS (
    SELECT
        eventtime, eventid, eventsource, eventtype, eventcategory, eventversion, eventname AS raw_name,
        regexp_replace(eventname, '20\d{6}(v\d+)?$', '') AS name,
        readonly, managementevent, COALESCE(account, recipientaccountid) AS recipient, awsregion,
        NULLIF(sourceipaddress, '') AS ip,
        CASE WHEN useragent LIKE '[%]' THEN NULLIF(substr(useragent, 2, length(useragent) - 2), '')
             ELSE NULLIF(useragent, '') END AS agent,
        CASE WHEN awsregion LIKE 'cn-%' THEN 'aws-cn' WHEN awsregion LIKE 'us-gov-%' THEN 'aws-us-gov' ELSE 'aws' END AS prefix,
        vpcendpointid, tlsdetails.clientprovidedhostheader AS tls_host,
        useridentity.type AS who, NULLIF(useridentity.principalid, '') AS who_id, NULLIF(useridentity.arn, '') AS who_arn,
        NULLIF(useridentity.accountid, '') AS who_account, NULLIF(useridentity.username, '') AS who_name,
        NULLIF(useridentity.invokedby, '') AS invoker, NULLIF(useridentity.accesskeyid, '') AS access_key,
        useridentity.sessioncontext.sessionissuer.type AS issuer_type,
        NULLIF(useridentity.sessioncontext.sessionissuer.arn, '') AS issuer_arn,
        NULLIF(useridentity.sessioncontext.sessionissuer.accountid, '') AS issuer_account,
        useridentity.sessioncontext.attributes.creationdate AS created,
        useridentity.sessioncontext.attributes.mfaauthenticated AS with_mfa,
        useridentity.sessioncontext.ec2roledelivery AS ec2_role_delivery,
        sessioncredentialfromconsole,
        -- most records carry none of these: looking for the name first spares the parsing
        CASE WHEN useridentity_json LIKE '%"sourceIdentity"%'
             THEN json_extract_scalar(useridentity_json, '$.sessionContext.sourceIdentity') END AS source_identity,
        CASE WHEN useridentity_json LIKE '%"onBehalfOf"%'
             THEN json_extract_scalar(useridentity_json, '$.onBehalfOf.userId') END AS on_behalf_of,
        CASE WHEN useridentity_json LIKE '%"signInSessionArn"%'
             THEN json_extract_scalar(useridentity_json, '$.sessionContext.signInSessionArn') END AS sign_in_session,
        CASE WHEN useridentity_json LIKE '%"credentialsIssuedTo"%'
             THEN json_extract_scalar(useridentity_json, '$.inScopeOf.credentialsIssuedTo') END AS credentials_issued_to,
        NULLIF(errorcode, '') AS error_code, errormessage,
        CASE
            WHEN eventsource = 'signin.amazonaws.com' AND regexp_like(responseelements, ':\s*"Failure"') THEN 'denied'
            WHEN NULLIF(errorcode, '') IS NULL THEN 'ok'
            WHEN regexp_like(errorcode, '(?i)throttl|RequestLimitExceeded|TooManyRequests|SlowDown|ThroughputExceeded')
                THEN 'throttled'
            WHEN regexp_like(errorcode, '(?i)AccessDenied|Unauthorized|NotAuthorized|AuthorizationError|AuthFailure|Forbidden|NotOrganizationM(aster|anagement)Account')
                THEN 'denied'
            ELSE 'error'
        END AS outcome,
        resources, requestparameters, responseelements, additionaleventdata, serviceeventdetails,
        requestid, sharedeventid, source_object, source_position, conflict
    FROM cloudtrail_logs
),
located AS (
    SELECT
        record.*,
        CASE
            WHEN ip IS NULL THEN NULL
            WHEN lower(ip) LIKE 'aws internal%' THEN 'aws_internal'
            WHEN regexp_like(ip, '^[A-Za-z0-9.-]+\.amazonaws\.com(\.cn)?$') THEN 'aws_service'
            WHEN regexp_like(ip, '^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$') THEN
                CASE WHEN regexp_like(ip, '^(10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)')
                     THEN 'private' ELSE 'public' END
            WHEN regexp_like(ip, '^[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}$') AND strpos(ip, ':::') = 0 THEN
                CASE WHEN regexp_like(lower(ip), '^(f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)') THEN 'private' ELSE 'public' END
            ELSE 'invalid'
        END AS ip_kind,
        -- the groups of an IPv6 address before any '::', without leading zeros; those that '::' stands for are zero
        CASE WHEN strpos(ip, ':') > 0 THEN
            regexp_replace(COALESCE(NULLIF(split_part(split_part(lower(ip), '::', 1), ':', 1), ''), '0'), '^0{1,3}([0-9a-f])', '$1') END AS group_1,
        CASE WHEN strpos(ip, ':') > 0 THEN
            regexp_replace(COALESCE(NULLIF(split_part(split_part(lower(ip), '::', 1), ':', 2), ''), '0'), '^0{1,3}([0-9a-f])', '$1') END AS group_2,
        CASE WHEN strpos(ip, ':') > 0 THEN
            regexp_replace(COALESCE(NULLIF(split_part(split_part(lower(ip), '::', 1), ':', 3), ''), '0'), '^0{1,3}([0-9a-f])', '$1') END AS group_3,
        CASE
            WHEN who = 'AssumedRole' THEN COALESCE(issuer_arn, regexp_replace(who_arn, '^arn:([^:]+):sts::(\d*):assumed-role/([^/]+)/.*$', 'arn:$1:iam::$2:role/$3'), who_id)
            WHEN who = 'Root' THEN concat('arn:', prefix, ':iam::', COALESCE(who_account, who_id, NULLIF(recipient, 'unknown')), ':root')
            WHEN who = 'IAMUser' THEN COALESCE(
                who_arn,
                CASE WHEN who_name <> 'HIDDEN_DUE_TO_SECURITY_REASONS' THEN concat('arn:', prefix, ':iam::', COALESCE(who_account, NULLIF(recipient, 'unknown')), ':user/', who_name) END,
                concat(COALESCE(who_account, recipient), ':', who_id))
            WHEN who = 'AWSService' THEN COALESCE(invoker, ip)
            WHEN who = 'AWSAccount' THEN COALESCE(concat(who_account, ':', who_id), who_account, who_id)
            WHEN who = 'IdentityCenterUser' THEN COALESCE(on_behalf_of, who_id)
            WHEN who IN ('SAMLUser', 'WebIdentityUser') THEN COALESCE(who_id, who_arn, who_name)
            WHEN who_arn IS NOT NULL OR who_id IS NOT NULL THEN COALESCE(who_arn, who_id)
            WHEN invoker IS NOT NULL THEN invoker
            WHEN eventtype = 'AwsServiceEvent' THEN eventsource
        END AS principal
    FROM record
)
SELECT
    TRY(from_iso8601_timestamp(eventtime)) AS event_time,
    eventid AS event_id,
    eventsource AS event_source,
    name AS event_name,
    raw_name AS event_name_raw,
    eventtype AS event_type,
    eventcategory AS event_category,
    eventversion AS event_version,
    lower(readonly) = 'true' AS read_only,
    lower(managementevent) = 'true' AS management_event,
    recipient AS account_id,
    awsregion AS region,
    ip AS source_ip,
    ip_kind AS source_ip_kind,
    CASE
        WHEN ip_kind IN ('public', 'private') AND group_1 IS NULL THEN regexp_replace(ip, '\.\d+$', '.0/24')
        WHEN ip_kind IN ('public', 'private') AND group_3 <> '0' THEN concat(group_1, ':', group_2, ':', group_3, '::/48')
        WHEN ip_kind IN ('public', 'private') AND group_2 <> '0' THEN concat(group_1, ':', group_2, '::/48')
        WHEN ip_kind IN ('public', 'private') AND group_1 <> '0' THEN concat(group_1, '::/48')
        WHEN ip_kind IN ('public', 'private') THEN '::/48'
        ELSE ip
    END AS source_network,
    agent AS user_agent,
    CASE
        WHEN regexp_like(agent, '^((console|signin)\.([a-z0-9-]+\.)*amazonaws\.com|S3Console/|AWS-?Console)') THEN 'console'
        WHEN regexp_like(agent, '^[A-Za-z0-9.-]+\.amazonaws\.com(\.cn)?$') THEN agent
        WHEN regexp_like(agent, '(?i)terraform') THEN 'terraform'
        WHEN regexp_like(agent, '^(Mozilla|Opera)/') THEN 'browser'
        WHEN regexp_like(agent, '(?i)^aws[ -]internal') THEN 'aws-internal'
        WHEN regexp_like(agent, '(?i)^aws-sdk-go') THEN 'aws-sdk-go'
        WHEN regexp_like(agent, '(?i)^aws-sdk-java') THEN 'aws-sdk-java'
        ELSE NULLIF(lower(regexp_extract(agent, '^[^/ ]+')), '')
    END AS user_agent_family,
    NULLIF(vpcendpointid, '') AS vpc_endpoint_id,
    NULLIF(tls_host, '') AS tls_host,
    who AS principal_type,
    principal,
    who_arn AS principal_arn,
    who_id AS principal_id,
    who_name AS user_name,
    CASE WHEN who = 'AssumedRole' THEN principal WHEN who = 'Role' THEN who_arn END AS role_arn,
    CASE WHEN who IN ('AssumedRole', 'FederatedUser') AND strpos(who_id, ':') > 0 THEN substr(who_id, strpos(who_id, ':') + 1) END AS session_name,
    COALESCE(who_account, issuer_account) AS caller_account,
    access_key AS access_key_id,
    CASE WHEN created <> '' THEN TRY(from_iso8601_timestamp(created)) END AS session_created,
    CASE
        WHEN with_mfa IN ('true', 'false') THEN with_mfa = 'true'
        WHEN raw_name = 'ConsoleLogin' AND additionaleventdata LIKE '%"MFAUsed"%' THEN json_extract_scalar(additionaleventdata, '$.MFAUsed') = 'Yes'
    END AS mfa,
    COALESCE(
        sessioncredentialfromconsole = 'true'
        OR eventtype IN ('AwsConsoleSignIn', 'AwsConsoleAction')
        OR regexp_like(agent, '^((console|signin)\.([a-z0-9-]+\.)*amazonaws\.com|S3Console/)')
        -- records older than that field: a browser calls with the console's temporary keys, never with a long-term one
        OR (sessioncredentialfromconsole IS NULL AND agent LIKE 'Mozilla/%' AND COALESCE(access_key, '') NOT LIKE 'AKIA%'),
        false
    ) AS from_console,
    source_identity,
    on_behalf_of,
    COALESCE(
        sign_in_session,
        CASE WHEN additionaleventdata LIKE '%"signInSessionArn"%' THEN json_extract_scalar(additionaleventdata, '$.signInSessionArn') END
    ) AS sign_in_session,
    invoker AS invoked_by,
    credentials_issued_to,
    ec2_role_delivery,
    error_code,
    errormessage AS error_message,
    outcome,
    CASE
        WHEN outcome <> 'ok' THEN NULL
        WHEN eventsource = 'sts.amazonaws.com' AND name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity', 'AssumeRoot', 'GetSessionToken', 'GetFederationToken')
            THEN json_extract_scalar(responseelements, '$.credentials.accessKeyId')
        WHEN eventsource = 'iam.amazonaws.com' AND name = 'CreateAccessKey'
            THEN json_extract_scalar(responseelements, '$.accessKey.accessKeyId')
        WHEN eventsource = 'iam.amazonaws.com' AND name = 'CreateServiceSpecificCredential'
            THEN json_extract_scalar(responseelements, '$.serviceSpecificCredential.serviceSpecificCredentialId')
        WHEN eventsource = 'iam.amazonaws.com' AND name = 'UploadSSHPublicKey'
            THEN json_extract_scalar(responseelements, '$.sSHPublicKey.sSHPublicKeyId')
        WHEN eventsource = 'iam.amazonaws.com' AND name = 'UploadSigningCertificate'
            THEN json_extract_scalar(responseelements, '$.certificate.certificateId')
        WHEN eventsource = 'rolesanywhere.amazonaws.com' AND name = 'CreateSession'
            THEN json_extract_scalar(responseelements, '$.credentialSet[0].credentials.accessKeyId')
        WHEN (eventsource = 'cognito-identity.amazonaws.com' AND name = 'GetCredentialsForIdentity') OR (eventsource = 'signin.amazonaws.com' AND name = 'GetSigninToken')
            THEN json_extract_scalar(responseelements, '$.credentials.accessKeyId')
    END AS minted_key,
    CASE
        WHEN outcome <> 'ok' THEN NULL
        WHEN eventsource = 'sts.amazonaws.com' AND name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity') THEN COALESCE(
            json_extract_scalar(requestparameters, '$.roleArn'),
            regexp_replace(json_extract_scalar(responseelements, '$.assumedRoleUser.arn'), '^arn:([^:]+):sts::(\d*):assumed-role/([^/]+)/.*$', 'arn:$1:iam::$2:role/$3'))
        WHEN eventsource = 'sts.amazonaws.com' AND name = 'GetSessionToken' THEN principal
        WHEN eventsource = 'sts.amazonaws.com' AND name = 'GetFederationToken' THEN json_extract_scalar(responseelements, '$.federatedUser.arn')
        WHEN eventsource = 'sts.amazonaws.com' AND name = 'AssumeRoot'
            THEN regexp_replace(json_extract_scalar(requestparameters, '$.targetPrincipal'), '^(\d{12})$', concat('arn:', prefix, ':iam::$1:root'))
        WHEN eventsource = 'iam.amazonaws.com' AND name IN ('CreateAccessKey', 'CreateLoginProfile', 'UpdateLoginProfile', 'CreateServiceSpecificCredential', 'UploadSSHPublicKey', 'UploadSigningCertificate') THEN
            CASE
                -- a call that names no user is about the caller; another user's path is not in the record
                WHEN COALESCE(json_extract_scalar(requestparameters, '$.userName'), who_name, '') = COALESCE(who_name, '') THEN principal
                ELSE concat('arn:', prefix, ':iam::', COALESCE(who_account, NULLIF(recipient, 'unknown')), ':user/', json_extract_scalar(requestparameters, '$.userName'))
            END
        WHEN eventsource = 'rolesanywhere.amazonaws.com' AND name = 'CreateSession' THEN json_extract_scalar(requestparameters, '$.roleArn')
        WHEN eventsource = 'signin.amazonaws.com' AND name = 'SwitchRole' THEN json_extract_scalar(additionaleventdata, '$.SwitchTo')
    END AS minted_principal,
    transform(resources, r -> CAST(ROW(r.arn, r.accountid, r.type) AS ROW(arn varchar, account_id varchar, type varchar))) AS resources,
    NULLIF(NULLIF(requestparameters, ''), 'null') AS request,
    NULLIF(NULLIF(responseelements, ''), 'null') AS response,
    NULLIF(NULLIF(additionaleventdata, ''), 'null') AS additional,
    NULLIF(NULLIF(serviceeventdetails, ''), 'null') AS service_details,
    requestid AS request_id,
    sharedeventid AS shared_event_id,
    source_object,
    source_position,
    conflict
FROM located
