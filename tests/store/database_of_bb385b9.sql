-- Schema and data of a database of commit bb385b9, by pg_dump 15 without comments.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
CREATE FUNCTION public.actuation_may_move(old_status text, new_status text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE old_status WHEN 'pending'::text THEN (new_status = ANY (ARRAY['sending'::text, 'superseded'::text, 'expired'::text, 'failed'::text])) WHEN 'sending'::text THEN (new_status = ANY (ARRAY['pending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text])) WHEN 'queued'::text THEN (new_status = ANY (ARRAY['transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text])) WHEN 'transmitted'::text THEN (new_status = ANY (ARRAY['acknowledged'::text, 'shown'::text, 'failed'::text, 'superseded'::text])) WHEN 'acknowledged'::text THEN (new_status = ANY (ARRAY['shown'::text, 'failed'::text, 'superseded'::text])) ELSE false END;
CREATE FUNCTION public.actuations_notify() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM pg_notify('baylight_actuations', '');
    RETURN NULL;
END
$$;
CREATE FUNCTION public.actuations_refuse_move() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    RAISE EXCEPTION 'actuation % cannot go from % to %', OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'actuations_transition';
END
$$;
CREATE FUNCTION public.devices_check_lifecycle() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT lifecycle_may_step(OLD.lifecycle_state, NEW.lifecycle_state) THEN
        RAISE EXCEPTION 'device % cannot go from % to %', NEW.dev_eui, OLD.lifecycle_state, NEW.lifecycle_state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_lifecycle_step';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION public.devices_record_lifecycle() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO device_lifecycle_events (role, device_id, dev_eui, previous_state, new_state, reason, actor)
    VALUES (TG_ARGV[0], NEW.id, NEW.dev_eui, CASE WHEN TG_OP = 'UPDATE' THEN OLD.lifecycle_state END,
            NEW.lifecycle_state, nullif(current_setting('baylight.reason', true), ''),
            coalesce(nullif(current_setting('baylight.actor', true), ''), session_user));
    RETURN NULL;
END
$$;
CREATE FUNCTION public.display_devices_copy_dev_eui() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE spaces SET display_deveui = NEW.dev_eui WHERE display_device_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.display_devices_notify() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM pg_notify('baylight_displays', '');
    RETURN NULL;
END
$$;
CREATE FUNCTION public.drop_partitions(parent text, before timestamp with time zone) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $_$
DECLARE
    child text;
BEGIN
    FOR child IN
        SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('public.' || parent) AND c.relname ~ '_y\d{4}m\d{2}$'
          AND to_date(right(c.relname, 7), 'YYYY"m"MM') + interval '1 month' <= before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        RETURN NEXT child;
    END LOOP;
END
$_$;
CREATE FUNCTION public.ensure_partition(parent text, month timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    lower_at timestamptz := date_trunc('month', month);
    upper_at timestamptz := date_trunc('month', month) + interval '1 month';
    child text := parent || to_char(date_trunc('month', month), '"_y"YYYY"m"MM');
    key_column text := CASE parent WHEN 'uplinks' THEN 'observed_at' WHEN 'actuations' THEN 'id' END;
    lower_bound text := CASE parent WHEN 'uplinks' THEN lower_at::text ELSE uuid7_floor(lower_at)::text END;
    upper_bound text := CASE parent WHEN 'uplinks' THEN upper_at::text ELSE uuid7_floor(upper_at)::text END;
    moved bigint;
BEGIN
    IF key_column IS NULL THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'undefined_table';
    END IF;
    IF to_regclass('public.' || child) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('baylight.ensure_partition'));
    -- Not to_regclass again: it answers from a cache, which waiting for this lock does not refresh.
    IF EXISTS (SELECT FROM pg_class WHERE relname = child AND relnamespace = 'public'::regnamespace) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', child, parent);
    EXECUTE format(
        'WITH gone AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM gone',
        parent || '_default', key_column, lower_bound, key_column, upper_bound, child);
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, lower_bound, upper_bound);
    IF parent = 'actuations' THEN
        -- A partitioned unique index would need the key in it: one per partition, and doctor looks across the edge.
        EXECUTE format(
            'CREATE UNIQUE INDEX %I ON %I (display_device_id) WHERE status IN (''sending'', ''queued'')',
            child || '_one_outstanding', child);
        EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', child);
    END IF;
    RETURN true;
END
$$;
CREATE FUNCTION public.lifecycle_may_step(old_state text, new_state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    RETURN CASE old_state WHEN 'orphan'::text THEN (new_state = 'registered'::text) WHEN 'registered'::text THEN (new_state = ANY (ARRAY['installed'::text, 'testing'::text, 'active'::text, 'decommissioned'::text])) WHEN 'installed'::text THEN (new_state = ANY (ARRAY['testing'::text, 'active'::text, 'maintenance'::text, 'decommissioned'::text])) WHEN 'testing'::text THEN (new_state = ANY (ARRAY['installed'::text, 'active'::text, 'maintenance'::text, 'decommissioned'::text])) WHEN 'active'::text THEN (new_state = ANY (ARRAY['testing'::text, 'maintenance'::text, 'decommissioned'::text])) WHEN 'maintenance'::text THEN (new_state = ANY (ARRAY['active'::text, 'decommissioned'::text])) WHEN 'decommissioned'::text THEN (new_state = 'registered'::text) ELSE false END;
CREATE FUNCTION public.locations_move_children() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE locations SET path = path WHERE parent_id = NEW.id;  -- each child takes its path from its parent
    RETURN NULL;
END
$$;
CREATE FUNCTION public.locations_set_path() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    above uuid[] := '{}';
BEGIN
    IF NEW.parent_id IS NOT NULL THEN
        SELECT path INTO above FROM locations WHERE id = NEW.parent_id FOR SHARE;
    END IF;
    IF NEW.id = ANY (above) THEN
        RAISE EXCEPTION 'location % cannot lie below itself', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'locations_no_cycle';
    END IF;
    NEW.path := coalesce(above, '{}') || NEW.id;
    RETURN NEW;
END
$$;
CREATE FUNCTION public.payload_codecs_keep() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    RAISE EXCEPTION 'version % of the codec % is fixed: add another one', OLD.version, OLD.name
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'payload_codecs_fixed';
END
$$;
CREATE FUNCTION public.reject_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END
$$;
CREATE FUNCTION public.sensor_devices_copy_dev_eui() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE spaces SET sensor_deveui = NEW.dev_eui WHERE sensor_device_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE FUNCTION public.spaces_record_assignments() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    by_whom text := coalesce(nullif(current_setting('baylight.actor', true), ''), session_user);
    why text := nullif(current_setting('baylight.assignment_reason', true), '');
    at timestamptz := clock_timestamp();
    gone boolean := NEW.deleted_at IS NOT NULL;
    sensor_before uuid;
    display_before uuid;
    sensor_now uuid := CASE WHEN NOT gone THEN NEW.sensor_device_id END;
    display_now uuid := CASE WHEN NOT gone THEN NEW.display_device_id END;
BEGIN
    IF current_setting('baylight.assignments', true) = 'written' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.deleted_at IS NULL THEN
        sensor_before := OLD.sensor_device_id;
        display_before := OLD.display_device_id;
    END IF;
    IF sensor_before IS NOT NULL OR display_before IS NOT NULL THEN
        -- A clock that was put back must not make an interval end before it began.
        at := greatest(at, (
            SELECT max(lower(a.valid)) + interval '1 microsecond' FROM device_assignments AS a
            WHERE a.superseded_at IS NULL AND upper_inf(a.valid) AND a.space_id = NEW.id
        ));
    END IF;
    IF sensor_now IS DISTINCT FROM sensor_before THEN
        IF sensor_before IS NOT NULL THEN
            UPDATE device_assignments SET valid = tstzrange(lower(valid), at)
            WHERE space_id = NEW.id AND role = 'sensor' AND superseded_at IS NULL AND upper_inf(valid);
        END IF;
        IF sensor_now IS NOT NULL THEN
            INSERT INTO device_assignments (space_id, role, sensor_device_id, valid, shared, reason, actor)
            SELECT NEW.id, 'sensor', s.id, tstzrange(at, NULL), s.mobile,
                   coalesce(why, CASE WHEN sensor_before IS NULL THEN 'install' ELSE 'swap' END), by_whom
            FROM sensor_devices AS s WHERE s.id = sensor_now;
        END IF;
    END IF;
    IF display_now IS DISTINCT FROM display_before THEN
        IF display_before IS NOT NULL THEN
            UPDATE device_assignments SET valid = tstzrange(lower(valid), at)
            WHERE space_id = NEW.id AND role = 'display' AND superseded_at IS NULL AND upper_inf(valid);
        END IF;
        IF display_now IS NOT NULL THEN
            INSERT INTO device_assignments (space_id, role, display_device_id, valid, shared, reason, actor)
            SELECT NEW.id, 'display', d.id, tstzrange(at, NULL), d.shared,
                   coalesce(why, CASE WHEN display_before IS NULL THEN 'install' ELSE 'swap' END), by_whom
            FROM display_devices AS d WHERE d.id = display_now;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.state_changes_notify() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_notify('baylight_state', min(id) || '-' || max(id)) FROM added HAVING count(*) > 0;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.sync_device_deveuis() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    sensor_key_set boolean := TG_OP = 'INSERT' AND NEW.sensor_device_id IS NOT NULL;
    display_key_set boolean := TG_OP = 'INSERT' AND NEW.display_device_id IS NOT NULL;
    sensor_copy_set boolean := TG_OP = 'INSERT' AND NEW.sensor_deveui IS NOT NULL;
    display_copy_set boolean := TG_OP = 'INSERT' AND NEW.display_deveui IS NOT NULL;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        sensor_key_set := NEW.sensor_device_id IS DISTINCT FROM OLD.sensor_device_id;
        display_key_set := NEW.display_device_id IS DISTINCT FROM OLD.display_device_id;
        sensor_copy_set := NEW.sensor_deveui IS DISTINCT FROM OLD.sensor_deveui;
        display_copy_set := NEW.display_deveui IS DISTINCT FROM OLD.display_deveui;
    END IF;
    IF sensor_key_set THEN
        NEW.sensor_deveui := (SELECT dev_eui FROM sensor_devices WHERE id = NEW.sensor_device_id FOR KEY SHARE);
    ELSIF sensor_copy_set THEN
        NEW.sensor_device_id := (SELECT id FROM sensor_devices WHERE dev_eui = NEW.sensor_deveui FOR KEY SHARE);
        IF NEW.sensor_deveui IS NOT NULL AND NEW.sensor_device_id IS NULL THEN
            RAISE EXCEPTION 'sensor % is not registered', NEW.sensor_deveui
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'spaces_sensor_registered';
        END IF;
    END IF;
    IF display_key_set THEN
        NEW.display_deveui := (SELECT dev_eui FROM display_devices WHERE id = NEW.display_device_id FOR KEY SHARE);
    ELSIF display_copy_set THEN
        NEW.display_device_id := (SELECT id FROM display_devices WHERE dev_eui = NEW.display_deveui FOR KEY SHARE);
        IF NEW.display_deveui IS NOT NULL AND NEW.display_device_id IS NULL THEN
            RAISE EXCEPTION 'display % is not registered', NEW.display_deveui
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'spaces_display_registered';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION public.uuid7(at timestamp with time zone DEFAULT clock_timestamp()) RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    RETURN (encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;
CREATE FUNCTION public.uuid7_floor(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    RETURN ((encode(SUBSTRING(int8send((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint) FROM 3), 'hex'::text) || repeat('0'::text, 20)))::uuid;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.actuation_events (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actuation_id uuid,
    dev_eui character varying(16) NOT NULL,
    kind text NOT NULL,
    attempt integer,
    downlink_queue_id text,
    downlink_id bigint,
    f_cnt_down bigint,
    gateway_id character varying(16),
    detail text,
    event_key text,
    CONSTRAINT actuation_events_kind CHECK ((kind = ANY (ARRAY['sending'::text, 'queued'::text, 'retry'::text, 'tx_ack'::text, 'ack'::text, 'nack'::text, 'log'::text, 'reported'::text, 'drift'::text, 'join'::text, 'failed'::text, 'expired'::text, 'superseded'::text, 'recovered'::text])))
);
ALTER TABLE public.actuation_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.actuation_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.actuations (
    id uuid DEFAULT public.uuid7() NOT NULL,
    space_id uuid NOT NULL,
    trigger_type character varying(30) NOT NULL,
    trigger_source character varying(100),
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    display_device_id uuid,
    display_deveui character varying(16),
    display_code text,
    fport integer,
    confirmed boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    downlink_sent boolean DEFAULT false NOT NULL,
    downlink_error text,
    downlink_queue_id text,
    response_time_ms integer,
    retry_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    sent_at timestamp with time zone,
    transmitted_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    shown_at timestamp with time zone,
    superseded_by uuid,
    CONSTRAINT actuations_display_code CHECK (((display_code ~ '^([0-9a-f]{2})+$'::text) AND (length(display_code) <= 484))),
    CONSTRAINT actuations_error_length CHECK ((length(downlink_error) <= 2000)),
    CONSTRAINT actuations_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT actuations_sendable_or_failed CHECK ((((display_device_id IS NOT NULL) AND (display_deveui IS NOT NULL) AND (display_code IS NOT NULL) AND (fport IS NOT NULL)) OR ((status = 'failed'::text) AND (downlink_error IS NOT NULL)))),
    CONSTRAINT actuations_sent CHECK ((downlink_sent = (sent_at IS NOT NULL))),
    CONSTRAINT actuations_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text]))),
    CONSTRAINT valid_trigger_type CHECK (((trigger_type)::text = ANY ((ARRAY['sensor_uplink'::character varying, 'api_reservation'::character varying, 'manual_override'::character varying, 'system_cleanup'::character varying, 'reservation_expired'::character varying, 'reservation_started'::character varying, 'reconciliation'::character varying, 'rejoin_recovery'::character varying, 'maintenance'::character varying, 'sensor_silent'::character varying, 'assignment'::character varying, 'device_test'::character varying, 'device_command'::character varying])::text[])))
)
PARTITION BY RANGE (id);
CREATE TABLE public.actuations_default (
    id uuid DEFAULT public.uuid7() NOT NULL,
    space_id uuid NOT NULL,
    trigger_type character varying(30) NOT NULL,
    trigger_source character varying(100),
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    display_device_id uuid,
    display_deveui character varying(16),
    display_code text,
    fport integer,
    confirmed boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    downlink_sent boolean DEFAULT false NOT NULL,
    downlink_error text,
    downlink_queue_id text,
    response_time_ms integer,
    retry_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    sent_at timestamp with time zone,
    transmitted_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    shown_at timestamp with time zone,
    superseded_by uuid,
    CONSTRAINT actuations_display_code CHECK (((display_code ~ '^([0-9a-f]{2})+$'::text) AND (length(display_code) <= 484))),
    CONSTRAINT actuations_error_length CHECK ((length(downlink_error) <= 2000)),
    CONSTRAINT actuations_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT actuations_sendable_or_failed CHECK ((((display_device_id IS NOT NULL) AND (display_deveui IS NOT NULL) AND (display_code IS NOT NULL) AND (fport IS NOT NULL)) OR ((status = 'failed'::text) AND (downlink_error IS NOT NULL)))),
    CONSTRAINT actuations_sent CHECK ((downlink_sent = (sent_at IS NOT NULL))),
    CONSTRAINT actuations_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text]))),
    CONSTRAINT valid_trigger_type CHECK (((trigger_type)::text = ANY ((ARRAY['sensor_uplink'::character varying, 'api_reservation'::character varying, 'manual_override'::character varying, 'system_cleanup'::character varying, 'reservation_expired'::character varying, 'reservation_started'::character varying, 'reconciliation'::character varying, 'rejoin_recovery'::character varying, 'maintenance'::character varying, 'sensor_silent'::character varying, 'assignment'::character varying, 'device_test'::character varying, 'device_command'::character varying])::text[])))
);
CREATE TABLE public.actuations_y2026m10 (
    id uuid DEFAULT public.uuid7() NOT NULL,
    space_id uuid NOT NULL,
    trigger_type character varying(30) NOT NULL,
    trigger_source character varying(100),
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    display_device_id uuid,
    display_deveui character varying(16),
    display_code text,
    fport integer,
    confirmed boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    downlink_sent boolean DEFAULT false NOT NULL,
    downlink_error text,
    downlink_queue_id text,
    response_time_ms integer,
    retry_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    sent_at timestamp with time zone,
    transmitted_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    shown_at timestamp with time zone,
    superseded_by uuid,
    CONSTRAINT actuations_display_code CHECK (((display_code ~ '^([0-9a-f]{2})+$'::text) AND (length(display_code) <= 484))),
    CONSTRAINT actuations_error_length CHECK ((length(downlink_error) <= 2000)),
    CONSTRAINT actuations_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT actuations_sendable_or_failed CHECK ((((display_device_id IS NOT NULL) AND (display_deveui IS NOT NULL) AND (display_code IS NOT NULL) AND (fport IS NOT NULL)) OR ((status = 'failed'::text) AND (downlink_error IS NOT NULL)))),
    CONSTRAINT actuations_sent CHECK ((downlink_sent = (sent_at IS NOT NULL))),
    CONSTRAINT actuations_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text]))),
    CONSTRAINT valid_trigger_type CHECK (((trigger_type)::text = ANY ((ARRAY['sensor_uplink'::character varying, 'api_reservation'::character varying, 'manual_override'::character varying, 'system_cleanup'::character varying, 'reservation_expired'::character varying, 'reservation_started'::character varying, 'reconciliation'::character varying, 'rejoin_recovery'::character varying, 'maintenance'::character varying, 'sensor_silent'::character varying, 'assignment'::character varying, 'device_test'::character varying, 'device_command'::character varying])::text[])))
)
WITH (fillfactor='70');
CREATE TABLE public.actuations_y2026m11 (
    id uuid DEFAULT public.uuid7() NOT NULL,
    space_id uuid NOT NULL,
    trigger_type character varying(30) NOT NULL,
    trigger_source character varying(100),
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    display_device_id uuid,
    display_deveui character varying(16),
    display_code text,
    fport integer,
    confirmed boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    downlink_sent boolean DEFAULT false NOT NULL,
    downlink_error text,
    downlink_queue_id text,
    response_time_ms integer,
    retry_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    sent_at timestamp with time zone,
    transmitted_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    shown_at timestamp with time zone,
    superseded_by uuid,
    CONSTRAINT actuations_display_code CHECK (((display_code ~ '^([0-9a-f]{2})+$'::text) AND (length(display_code) <= 484))),
    CONSTRAINT actuations_error_length CHECK ((length(downlink_error) <= 2000)),
    CONSTRAINT actuations_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT actuations_sendable_or_failed CHECK ((((display_device_id IS NOT NULL) AND (display_deveui IS NOT NULL) AND (display_code IS NOT NULL) AND (fport IS NOT NULL)) OR ((status = 'failed'::text) AND (downlink_error IS NOT NULL)))),
    CONSTRAINT actuations_sent CHECK ((downlink_sent = (sent_at IS NOT NULL))),
    CONSTRAINT actuations_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text]))),
    CONSTRAINT valid_trigger_type CHECK (((trigger_type)::text = ANY ((ARRAY['sensor_uplink'::character varying, 'api_reservation'::character varying, 'manual_override'::character varying, 'system_cleanup'::character varying, 'reservation_expired'::character varying, 'reservation_started'::character varying, 'reconciliation'::character varying, 'rejoin_recovery'::character varying, 'maintenance'::character varying, 'sensor_silent'::character varying, 'assignment'::character varying, 'device_test'::character varying, 'device_command'::character varying])::text[])))
)
WITH (fillfactor='70');
CREATE TABLE public.actuations_y2026m12 (
    id uuid DEFAULT public.uuid7() NOT NULL,
    space_id uuid NOT NULL,
    trigger_type character varying(30) NOT NULL,
    trigger_source character varying(100),
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    display_device_id uuid,
    display_deveui character varying(16),
    display_code text,
    fport integer,
    confirmed boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    downlink_sent boolean DEFAULT false NOT NULL,
    downlink_error text,
    downlink_queue_id text,
    response_time_ms integer,
    retry_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    sent_at timestamp with time zone,
    transmitted_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    shown_at timestamp with time zone,
    superseded_by uuid,
    CONSTRAINT actuations_display_code CHECK (((display_code ~ '^([0-9a-f]{2})+$'::text) AND (length(display_code) <= 484))),
    CONSTRAINT actuations_error_length CHECK ((length(downlink_error) <= 2000)),
    CONSTRAINT actuations_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT actuations_sendable_or_failed CHECK ((((display_device_id IS NOT NULL) AND (display_deveui IS NOT NULL) AND (display_code IS NOT NULL) AND (fport IS NOT NULL)) OR ((status = 'failed'::text) AND (downlink_error IS NOT NULL)))),
    CONSTRAINT actuations_sent CHECK ((downlink_sent = (sent_at IS NOT NULL))),
    CONSTRAINT actuations_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text]))),
    CONSTRAINT valid_trigger_type CHECK (((trigger_type)::text = ANY ((ARRAY['sensor_uplink'::character varying, 'api_reservation'::character varying, 'manual_override'::character varying, 'system_cleanup'::character varying, 'reservation_expired'::character varying, 'reservation_started'::character varying, 'reconciliation'::character varying, 'rejoin_recovery'::character varying, 'maintenance'::character varying, 'sensor_silent'::character varying, 'assignment'::character varying, 'device_test'::character varying, 'device_command'::character varying])::text[])))
)
WITH (fillfactor='70');
CREATE TABLE public.actuations_y2027m01 (
    id uuid DEFAULT public.uuid7() NOT NULL,
    space_id uuid NOT NULL,
    trigger_type character varying(30) NOT NULL,
    trigger_source character varying(100),
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    display_device_id uuid,
    display_deveui character varying(16),
    display_code text,
    fport integer,
    confirmed boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    downlink_sent boolean DEFAULT false NOT NULL,
    downlink_error text,
    downlink_queue_id text,
    response_time_ms integer,
    retry_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    sent_at timestamp with time zone,
    transmitted_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    shown_at timestamp with time zone,
    superseded_by uuid,
    CONSTRAINT actuations_display_code CHECK (((display_code ~ '^([0-9a-f]{2})+$'::text) AND (length(display_code) <= 484))),
    CONSTRAINT actuations_error_length CHECK ((length(downlink_error) <= 2000)),
    CONSTRAINT actuations_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT actuations_sendable_or_failed CHECK ((((display_device_id IS NOT NULL) AND (display_deveui IS NOT NULL) AND (display_code IS NOT NULL) AND (fport IS NOT NULL)) OR ((status = 'failed'::text) AND (downlink_error IS NOT NULL)))),
    CONSTRAINT actuations_sent CHECK ((downlink_sent = (sent_at IS NOT NULL))),
    CONSTRAINT actuations_status CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text, 'shown'::text, 'failed'::text, 'expired'::text, 'superseded'::text]))),
    CONSTRAINT valid_trigger_type CHECK (((trigger_type)::text = ANY ((ARRAY['sensor_uplink'::character varying, 'api_reservation'::character varying, 'manual_override'::character varying, 'system_cleanup'::character varying, 'reservation_expired'::character varying, 'reservation_started'::character varying, 'reconciliation'::character varying, 'rejoin_recovery'::character varying, 'maintenance'::character varying, 'sensor_silent'::character varying, 'assignment'::character varying, 'device_test'::character varying, 'device_command'::character varying])::text[])))
)
WITH (fillfactor='70');
CREATE TABLE public.api_keys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    key_hash character varying(255) NOT NULL,
    key_name character varying(100),
    last_used_at timestamp with time zone,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now(),
    is_admin boolean DEFAULT false NOT NULL,
    key_prefix character varying(16),
    scopes text[] DEFAULT '{read}'::text[] NOT NULL,
    created_by text,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_admin_scope CHECK ((is_admin = ('admin'::text = ANY (scopes)))),
    CONSTRAINT api_keys_revoked CHECK ((is_active = (revoked_at IS NULL))),
    CONSTRAINT api_keys_scopes CHECK (((scopes <@ ARRAY['read'::text, 'write'::text, 'admin'::text]) AND (cardinality(scopes) > 0)))
);
CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object_type text NOT NULL,
    object_id text NOT NULL,
    before jsonb,
    after jsonb,
    request_id text
);
ALTER TABLE public.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.device_assignments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    space_id uuid NOT NULL,
    role text NOT NULL,
    sensor_device_id uuid,
    display_device_id uuid,
    device_id uuid GENERATED ALWAYS AS (COALESCE(sensor_device_id, display_device_id)) STORED NOT NULL,
    valid tstzrange NOT NULL,
    shared boolean DEFAULT false NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    superseded_at timestamp with time zone,
    CONSTRAINT device_assignments_device_of_role CHECK ((((role = 'sensor'::text) = (sensor_device_id IS NOT NULL)) AND ((role = 'display'::text) = (display_device_id IS NOT NULL)))),
    CONSTRAINT device_assignments_reason CHECK ((reason = ANY (ARRAY['install'::text, 'swap'::text, 'maintenance'::text, 'correction'::text, 'removal'::text]))),
    CONSTRAINT device_assignments_role CHECK ((role = ANY (ARRAY['sensor'::text, 'display'::text]))),
    CONSTRAINT device_assignments_valid CHECK ((NOT isempty(valid)))
);
CREATE TABLE public.device_lifecycle_events (
    id bigint NOT NULL,
    role text NOT NULL,
    device_id uuid NOT NULL,
    dev_eui character varying(16) NOT NULL,
    previous_state text,
    new_state text NOT NULL,
    reason text,
    actor text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT device_lifecycle_events_role CHECK ((role = ANY (ARRAY['sensor'::text, 'display'::text])))
);
ALTER TABLE public.device_lifecycle_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.device_lifecycle_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.device_swaps (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    swap_id uuid NOT NULL,
    space_id uuid NOT NULL,
    role text NOT NULL,
    old_device_id uuid NOT NULL,
    new_device_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    note text,
    retired boolean DEFAULT false NOT NULL,
    new_codes_before jsonb,
    undone_at timestamp with time zone,
    undone_by text,
    CONSTRAINT device_swaps_not_ahead CHECK ((at <= recorded_at)),
    CONSTRAINT device_swaps_role CHECK ((role = ANY (ARRAY['sensor'::text, 'display'::text]))),
    CONSTRAINT device_swaps_two CHECK ((old_device_id <> new_device_id)),
    CONSTRAINT device_swaps_undone CHECK (((undone_at IS NULL) = (undone_by IS NULL)))
);
CREATE TABLE public.device_tests (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    space_id uuid NOT NULL,
    sensor_device_id uuid,
    display_device_id uuid NOT NULL,
    actuation_id uuid,
    started_at timestamp with time zone NOT NULL,
    deadline_at timestamp with time zone NOT NULL,
    within_s real NOT NULL,
    ended_at timestamp with time zone,
    result text DEFAULT 'running'::text NOT NULL,
    detail text,
    seconds real,
    actor text NOT NULL,
    CONSTRAINT device_tests_deadline CHECK (((deadline_at > started_at) AND (within_s > (0)::double precision))),
    CONSTRAINT device_tests_ended CHECK (((result = 'running'::text) = (ended_at IS NULL))),
    CONSTRAINT device_tests_kind CHECK (
CASE kind
    WHEN 'pattern'::text THEN (actuation_id IS NOT NULL)
    WHEN 'pair'::text THEN (sensor_device_id IS NOT NULL)
    ELSE false
END),
    CONSTRAINT device_tests_result CHECK ((result = ANY (ARRAY['running'::text, 'passed'::text, 'failed'::text])))
);
CREATE TABLE public.device_types (
    code character varying(50) NOT NULL,
    category text NOT NULL,
    manufacturer character varying(100) NOT NULL,
    model character varying(100) NOT NULL,
    codec character varying(100) NOT NULL,
    dev_eui_prefixes text[] DEFAULT '{}'::text[] NOT NULL,
    uplink_interval_s integer NOT NULL,
    silent_after_intervals integer DEFAULT 3 NOT NULL,
    default_config jsonb DEFAULT '{}'::jsonb NOT NULL,
    capabilities jsonb DEFAULT '{}'::jsonb NOT NULL,
    shipped boolean DEFAULT false NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT device_types_category CHECK ((category = ANY (ARRAY['sensor'::text, 'display'::text]))),
    CONSTRAINT device_types_code CHECK (((code)::text ~ '^[a-z0-9_]+$'::text)),
    CONSTRAINT device_types_silent_after CHECK ((silent_after_intervals > 0)),
    CONSTRAINT device_types_uplink_interval CHECK ((uplink_interval_s > 0))
);
CREATE TABLE public.display_devices (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    dev_eui character varying(16) NOT NULL,
    device_type character varying(50) NOT NULL,
    device_model character varying(100),
    manufacturer character varying(100),
    display_codes jsonb NOT NULL,
    fport integer NOT NULL,
    confirmed_downlinks boolean DEFAULT false NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    last_seen_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    lifecycle_state text DEFAULT 'registered'::text NOT NULL,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    application_id text,
    shared boolean DEFAULT false NOT NULL,
    rssi_dbm smallint,
    snr_db real,
    gateway_id character varying(16),
    battery_v real,
    battery_pct real,
    firmware text,
    notes text,
    dev_addr character varying(8),
    last_f_cnt bigint,
    last_join_at timestamp with time zone,
    heard_network_at timestamp with time zone,
    desired_state character varying(20),
    desired_code text,
    desired_at timestamp with time zone,
    commanded_actuation_id uuid,
    reported_code text,
    reported_at timestamp with time zone,
    sync_status text DEFAULT 'unknown'::text NOT NULL,
    resend_after_uplink boolean DEFAULT false NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    reconcile_at timestamp with time zone,
    shared_rule text DEFAULT 'worst_state'::text NOT NULL,
    CONSTRAINT display_devices_codes_object CHECK ((jsonb_typeof(display_codes) = 'object'::text)),
    CONSTRAINT display_devices_desired_state CHECK (((desired_state)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying, 'RESERVED'::character varying, 'MAINTENANCE'::character varying, 'OUT_OF_ORDER'::character varying, 'UNKNOWN'::character varying])::text[]))),
    CONSTRAINT display_devices_dev_eui CHECK (((length((dev_eui)::text) = 16) AND (translate((dev_eui)::text, '0123456789abcdef'::text, ''::text) = ''::text))),
    CONSTRAINT display_devices_fport CHECK (((fport >= 1) AND (fport <= 223))),
    CONSTRAINT display_devices_lifecycle CHECK ((lifecycle_state = ANY (ARRAY['orphan'::text, 'registered'::text, 'installed'::text, 'testing'::text, 'active'::text, 'maintenance'::text, 'decommissioned'::text]))),
    CONSTRAINT display_devices_shared_rule CHECK ((shared_rule = ANY (ARRAY['any_free'::text, 'all_free'::text, 'count'::text, 'worst_state'::text]))),
    CONSTRAINT display_devices_sync_status CHECK ((sync_status = ANY (ARRAY['in_sync'::text, 'pending'::text, 'drifted'::text, 'unreachable'::text, 'misconfigured'::text, 'unknown'::text])))
)
WITH (fillfactor='70');
CREATE TABLE public.gateways (
    gateway_id character varying(16) NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL
);
CREATE TABLE public.installation (
    id smallint DEFAULT 1 NOT NULL,
    key_secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installation_single_row CHECK ((id = 1))
);
CREATE TABLE public.locations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    parent_id uuid,
    kind text NOT NULL,
    name text NOT NULL,
    timezone text,
    maintenance boolean DEFAULT false NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    path uuid[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT locations_kind CHECK ((kind = ANY (ARRAY['site'::text, 'building'::text, 'floor'::text, 'zone'::text, 'room'::text]))),
    CONSTRAINT locations_name CHECK ((name <> ''::text)),
    CONSTRAINT locations_path_ends_in_self CHECK ((path[cardinality(path)] = id)),
    CONSTRAINT locations_timezone_of_site CHECK (((timezone IS NULL) OR (kind = 'site'::text)))
);
CREATE TABLE public.orphans (
    dev_eui character varying(16) NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    uplinks bigint NOT NULL,
    hour_at timestamp with time zone NOT NULL,
    uplinks_in_hour integer NOT NULL,
    network_server text NOT NULL,
    application_id text,
    device_name text,
    profile_name text,
    dev_addr character varying(8),
    gateway_id character varying(16),
    rssi_dbm smallint,
    snr_db real,
    f_port smallint,
    data bytea,
    ignored boolean DEFAULT false NOT NULL,
    CONSTRAINT orphans_dev_eui CHECK (((length((dev_eui)::text) = 16) AND (translate((dev_eui)::text, '0123456789abcdef'::text, ''::text) = ''::text)))
)
WITH (fillfactor='70');
CREATE TABLE public.overrides (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    space_id uuid,
    location_id uuid,
    state character varying(20) NOT NULL,
    valid tstzrange NOT NULL,
    reason text,
    actor text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_by text,
    CONSTRAINT overrides_one_target CHECK (((space_id IS NULL) <> (location_id IS NULL))),
    CONSTRAINT overrides_state CHECK (((state)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying, 'RESERVED'::character varying, 'MAINTENANCE'::character varying, 'OUT_OF_ORDER'::character varying, 'UNKNOWN'::character varying])::text[]))),
    CONSTRAINT overrides_valid CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);
CREATE TABLE public.payload_codecs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    source text NOT NULL,
    mapping jsonb,
    examples jsonb NOT NULL,
    notes text,
    active boolean DEFAULT false NOT NULL,
    activated_at timestamp with time zone,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payload_codecs_examples CHECK ((jsonb_typeof(examples) = 'array'::text)),
    CONSTRAINT payload_codecs_mapping CHECK ((jsonb_typeof(mapping) = 'object'::text)),
    CONSTRAINT payload_codecs_name CHECK ((name ~ '^[a-z0-9_]{1,60}$'::text)),
    CONSTRAINT payload_codecs_version CHECK ((version > 0))
);
CREATE TABLE public.rejected_messages (
    digest bytea NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    payload_bytes integer NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    times bigint DEFAULT 1 NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL
);
CREATE TABLE public.reservations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    space_id uuid NOT NULL,
    start_time timestamp with time zone NOT NULL,
    end_time timestamp with time zone NOT NULL,
    user_email character varying(255),
    user_phone character varying(20),
    status character varying(20) DEFAULT 'active'::character varying NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now(),
    request_id character varying(100),
    created_by text,
    during tstzrange GENERATED ALWAYS AS (tstzrange(start_time, end_time, '[)'::text)) STORED NOT NULL,
    CONSTRAINT valid_duration CHECK (((end_time - start_time) <= '24:00:00'::interval)),
    CONSTRAINT valid_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'completed'::character varying, 'cancelled'::character varying, 'no_show'::character varying])::text[]))),
    CONSTRAINT valid_times CHECK ((end_time > start_time))
);
CREATE TABLE public.schema_migrations (
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.sensor_devices (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    dev_eui character varying(16) NOT NULL,
    device_type character varying(50) NOT NULL,
    device_model character varying(100),
    manufacturer character varying(100),
    payload_decoder character varying(100),
    capabilities jsonb DEFAULT '{}'::jsonb NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    last_seen_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    lifecycle_state text DEFAULT 'registered'::text NOT NULL,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    application_id text,
    mobile boolean DEFAULT false NOT NULL,
    rssi_dbm smallint,
    snr_db real,
    gateway_id character varying(16),
    battery_v real,
    battery_pct real,
    firmware text,
    notes text,
    dev_addr character varying(8),
    last_f_cnt bigint,
    last_join_at timestamp with time zone,
    heard_network_at timestamp with time zone,
    occupancy character varying(20),
    occupancy_at timestamp with time zone,
    free_from timestamp with time zone,
    damaged boolean DEFAULT false NOT NULL,
    CONSTRAINT sensor_devices_dev_eui CHECK (((length((dev_eui)::text) = 16) AND (translate((dev_eui)::text, '0123456789abcdef'::text, ''::text) = ''::text))),
    CONSTRAINT sensor_devices_lifecycle CHECK ((lifecycle_state = ANY (ARRAY['orphan'::text, 'registered'::text, 'installed'::text, 'testing'::text, 'active'::text, 'maintenance'::text, 'decommissioned'::text]))),
    CONSTRAINT sensor_devices_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT sensor_devices_occupancy_has_time CHECK (((occupancy IS NULL) = (occupancy_at IS NULL)))
)
WITH (fillfactor='70');
CREATE TABLE public.spaces (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(100) NOT NULL,
    code character varying(20) NOT NULL,
    location_id uuid,
    gps_latitude numeric(10,8),
    gps_longitude numeric(11,8),
    sensor_device_id uuid,
    display_device_id uuid,
    sensor_deveui character varying(16),
    display_deveui character varying(16),
    current_state character varying(20) DEFAULT 'UNKNOWN'::character varying NOT NULL,
    current_state_at timestamp with time zone DEFAULT now() NOT NULL,
    sensor_state character varying(20),
    sensor_state_at timestamp with time zone,
    display_state character varying(20),
    display_state_at timestamp with time zone,
    state_reason text,
    default_state character varying(20) DEFAULT 'UNKNOWN'::character varying NOT NULL,
    maintenance boolean DEFAULT false NOT NULL,
    recompute_at timestamp with time zone,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now(),
    deleted_at timestamp with time zone,
    CONSTRAINT valid_default_state CHECK (((default_state)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying, 'RESERVED'::character varying, 'MAINTENANCE'::character varying, 'OUT_OF_ORDER'::character varying, 'UNKNOWN'::character varying])::text[]))),
    CONSTRAINT valid_display_state CHECK (((display_state)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying, 'RESERVED'::character varying, 'MAINTENANCE'::character varying, 'OUT_OF_ORDER'::character varying, 'UNKNOWN'::character varying])::text[]))),
    CONSTRAINT valid_gps CHECK ((((gps_latitude IS NULL) = (gps_longitude IS NULL)) AND COALESCE((((gps_latitude >= ('-90'::integer)::numeric) AND (gps_latitude <= (90)::numeric)) AND ((gps_longitude >= ('-180'::integer)::numeric) AND (gps_longitude <= (180)::numeric))), true))),
    CONSTRAINT valid_sensor_state CHECK (((sensor_state)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT valid_state CHECK (((current_state)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying, 'RESERVED'::character varying, 'MAINTENANCE'::character varying, 'OUT_OF_ORDER'::character varying, 'UNKNOWN'::character varying])::text[])))
)
WITH (fillfactor='70');
CREATE TABLE public.state_changes (
    id bigint NOT NULL,
    space_id uuid NOT NULL,
    previous_state character varying(20),
    new_state character varying(20) NOT NULL,
    source character varying(50) NOT NULL,
    request_id character varying(50),
    metadata jsonb,
    "timestamp" timestamp with time zone DEFAULT now(),
    reason text,
    trigger_source character varying(100),
    uplink_observed_at timestamp with time zone,
    considered jsonb
);
ALTER TABLE public.state_changes ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.state_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.uplinks (
    observed_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    network_at timestamp with time zone,
    deduplication_id uuid NOT NULL,
    f_cnt bigint,
    f_port smallint,
    rssi_dbm smallint,
    snr_db real,
    dev_eui character varying(16) NOT NULL,
    gateway_id character varying(16),
    occupancy character varying(20),
    outcome text NOT NULL,
    data bytea NOT NULL,
    reading jsonb,
    error text,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    CONSTRAINT uplinks_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT uplinks_outcome CHECK ((outcome = ANY (ARRAY['state_changed'::text, 'unchanged'::text, 'stale'::text, 'unassigned'::text, 'unknown_device'::text, 'device_disabled'::text, 'not_decodable'::text, 'not_occupancy'::text, 'display_report'::text])))
)
PARTITION BY RANGE (observed_at);
CREATE TABLE public.uplinks_default (
    observed_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    network_at timestamp with time zone,
    deduplication_id uuid NOT NULL,
    f_cnt bigint,
    f_port smallint,
    rssi_dbm smallint,
    snr_db real,
    dev_eui character varying(16) NOT NULL,
    gateway_id character varying(16),
    occupancy character varying(20),
    outcome text NOT NULL,
    data bytea NOT NULL,
    reading jsonb,
    error text,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    CONSTRAINT uplinks_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT uplinks_outcome CHECK ((outcome = ANY (ARRAY['state_changed'::text, 'unchanged'::text, 'stale'::text, 'unassigned'::text, 'unknown_device'::text, 'device_disabled'::text, 'not_decodable'::text, 'not_occupancy'::text, 'display_report'::text])))
);
CREATE TABLE public.uplinks_y2026m10 (
    observed_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    network_at timestamp with time zone,
    deduplication_id uuid NOT NULL,
    f_cnt bigint,
    f_port smallint,
    rssi_dbm smallint,
    snr_db real,
    dev_eui character varying(16) NOT NULL,
    gateway_id character varying(16),
    occupancy character varying(20),
    outcome text NOT NULL,
    data bytea NOT NULL,
    reading jsonb,
    error text,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    CONSTRAINT uplinks_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT uplinks_outcome CHECK ((outcome = ANY (ARRAY['state_changed'::text, 'unchanged'::text, 'stale'::text, 'unassigned'::text, 'unknown_device'::text, 'device_disabled'::text, 'not_decodable'::text, 'not_occupancy'::text, 'display_report'::text])))
);
CREATE TABLE public.uplinks_y2026m11 (
    observed_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    network_at timestamp with time zone,
    deduplication_id uuid NOT NULL,
    f_cnt bigint,
    f_port smallint,
    rssi_dbm smallint,
    snr_db real,
    dev_eui character varying(16) NOT NULL,
    gateway_id character varying(16),
    occupancy character varying(20),
    outcome text NOT NULL,
    data bytea NOT NULL,
    reading jsonb,
    error text,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    CONSTRAINT uplinks_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT uplinks_outcome CHECK ((outcome = ANY (ARRAY['state_changed'::text, 'unchanged'::text, 'stale'::text, 'unassigned'::text, 'unknown_device'::text, 'device_disabled'::text, 'not_decodable'::text, 'not_occupancy'::text, 'display_report'::text])))
);
CREATE TABLE public.uplinks_y2026m12 (
    observed_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    network_at timestamp with time zone,
    deduplication_id uuid NOT NULL,
    f_cnt bigint,
    f_port smallint,
    rssi_dbm smallint,
    snr_db real,
    dev_eui character varying(16) NOT NULL,
    gateway_id character varying(16),
    occupancy character varying(20),
    outcome text NOT NULL,
    data bytea NOT NULL,
    reading jsonb,
    error text,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    CONSTRAINT uplinks_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT uplinks_outcome CHECK ((outcome = ANY (ARRAY['state_changed'::text, 'unchanged'::text, 'stale'::text, 'unassigned'::text, 'unknown_device'::text, 'device_disabled'::text, 'not_decodable'::text, 'not_occupancy'::text, 'display_report'::text])))
);
CREATE TABLE public.uplinks_y2027m01 (
    observed_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    network_at timestamp with time zone,
    deduplication_id uuid NOT NULL,
    f_cnt bigint,
    f_port smallint,
    rssi_dbm smallint,
    snr_db real,
    dev_eui character varying(16) NOT NULL,
    gateway_id character varying(16),
    occupancy character varying(20),
    outcome text NOT NULL,
    data bytea NOT NULL,
    reading jsonb,
    error text,
    network_server text DEFAULT 'chirpstack'::text NOT NULL,
    CONSTRAINT uplinks_occupancy CHECK (((occupancy)::text = ANY ((ARRAY['FREE'::character varying, 'OCCUPIED'::character varying])::text[]))),
    CONSTRAINT uplinks_outcome CHECK ((outcome = ANY (ARRAY['state_changed'::text, 'unchanged'::text, 'stale'::text, 'unassigned'::text, 'unknown_device'::text, 'device_disabled'::text, 'not_decodable'::text, 'not_occupancy'::text, 'display_report'::text])))
);
ALTER TABLE ONLY public.actuations ATTACH PARTITION public.actuations_default DEFAULT;
ALTER TABLE ONLY public.actuations ATTACH PARTITION public.actuations_y2026m10 FOR VALUES FROM ('01a0f4c2-c400-0000-0000-000000000000') TO ('01a19467-e800-0000-0000-000000000000');
ALTER TABLE ONLY public.actuations ATTACH PARTITION public.actuations_y2026m11 FOR VALUES FROM ('01a19467-e800-0000-0000-000000000000') TO ('01a22ee6-b000-0000-0000-000000000000');
ALTER TABLE ONLY public.actuations ATTACH PARTITION public.actuations_y2026m12 FOR VALUES FROM ('01a22ee6-b000-0000-0000-000000000000') TO ('01a2ce8b-d400-0000-0000-000000000000');
ALTER TABLE ONLY public.actuations ATTACH PARTITION public.actuations_y2027m01 FOR VALUES FROM ('01a2ce8b-d400-0000-0000-000000000000') TO ('01a36e30-f800-0000-0000-000000000000');
ALTER TABLE ONLY public.uplinks ATTACH PARTITION public.uplinks_default DEFAULT;
ALTER TABLE ONLY public.uplinks ATTACH PARTITION public.uplinks_y2026m10 FOR VALUES FROM ('2026-10-01 00:00:00+00') TO ('2026-11-01 00:00:00+00');
ALTER TABLE ONLY public.uplinks ATTACH PARTITION public.uplinks_y2026m11 FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00');
ALTER TABLE ONLY public.uplinks ATTACH PARTITION public.uplinks_y2026m12 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00');
ALTER TABLE ONLY public.uplinks ATTACH PARTITION public.uplinks_y2027m01 FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2027-02-01 00:00:00+00');
INSERT INTO public.actuation_events OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-20 10:00:00+00', '2026-11-28 07:57:29.687946+00', NULL, '2020000000000001', 'sending', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.actuations_y2026m11 VALUES ('01a1f866-0d00-781c-b5ea-2584959075fe', '00000000-0000-0000-0000-00000000000a', 'sensor_uplink', NULL, 'FREE', 'OCCUPIED', 'b77469ac-7490-4416-96d4-e7ce073e5c44', '2020000000000001', 'ff00006400', 15, false, 'pending', false, NULL, NULL, NULL, 0, '2026-11-20 10:00:00+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.api_keys VALUES ('cfa16336-9823-4d85-8e36-0f604ff58759', '95c25d105336494888498f84e35d5b6361ff0cf1e697813ab38235cdb30a776b', 'old gate', NULL, true, '2026-11-28 07:57:29.434941+00', false, 'bl_ylg6so3z', '{write}', 'cli:root', NULL);
INSERT INTO public.audit_log OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-28 07:57:29.458859+00', 'cli:root', 'key.create', 'api_key', 'cfa16336-9823-4d85-8e36-0f604ff58759', NULL, '{"prefix": "bl_ylg6so3z", "scopes": ["write"]}', NULL);
INSERT INTO public.device_assignments VALUES ('55c76610-b010-4b68-bbe0-b7ff7c1da3d2', '00000000-0000-0000-0000-00000000000a', 'sensor', 'c2872512-be16-4de1-9c5c-26f735121971', NULL, DEFAULT, '["2026-11-28 07:57:29.672106+00",)', false, 'install', 'baylight', '2026-11-28 07:57:29.674326+00', NULL);
INSERT INTO public.device_assignments VALUES ('0d43308b-7306-4e3c-bd2a-0b13dbffdfc7', '00000000-0000-0000-0000-00000000000a', 'display', NULL, 'b77469ac-7490-4416-96d4-e7ce073e5c44', DEFAULT, '["2026-11-28 07:57:29.672106+00",)', false, 'install', 'baylight', '2026-11-28 07:57:29.679688+00', NULL);
INSERT INTO public.device_lifecycle_events OVERRIDING SYSTEM VALUE VALUES (1, 'sensor', 'c2872512-be16-4de1-9c5c-26f735121971', '58a0cb00000000a1', NULL, 'active', NULL, 'baylight', '2026-11-28 07:57:29.655645+00');
INSERT INTO public.device_lifecycle_events OVERRIDING SYSTEM VALUE VALUES (2, 'display', 'b77469ac-7490-4416-96d4-e7ce073e5c44', '2020000000000001', NULL, 'active', NULL, 'baylight', '2026-11-28 07:57:29.656585+00');
INSERT INTO public.device_types VALUES ('browan_tbms100', 'sensor', 'Browan', 'TABS TBMS100', 'browan_tbms100', '{58a0cb}', 3600, 3, '{}', '{"free": "FPort 102: byte 0 bit 0 = 0", "class": "A", "f_ports": [102, 204], "occupied": "FPort 102: byte 0 bit 0 = 1", "occupancy": "motion"}', true, true, '2026-11-28 07:57:27.494291+00', '2026-11-28 07:57:27.494291+00');
INSERT INTO public.device_types VALUES ('kuando_busylight', 'display', 'Plenom', 'Kuando Busylight IoT Omega', 'kuando_busylight', '{}', 1800, 3, '{"f_port": 15, "ask_report": true, "display_codes": {"FREE": "0000ff6400", "UNKNOWN": "00ff006464", "OCCUPIED": "ff00006400", "RESERVED": "ff00ff6400", "MAINTENANCE": "ff00326400", "OUT_OF_ORDER": "ffff006400"}, "confirmed_downlinks": false}', '{"class": "C", "f_ports": [15], "reports": true}', true, true, '2026-11-28 07:57:27.494291+00', '2026-11-28 07:57:27.494291+00');
INSERT INTO public.display_devices VALUES ('b77469ac-7490-4416-96d4-e7ce073e5c44', '2020000000000001', 'kuando_busylight', NULL, NULL, '{"FREE": "0000ff6400", "UNKNOWN": "00ff006464", "OCCUPIED": "ff00006400", "RESERVED": "ff00ff6400", "MAINTENANCE": "ff00326400", "OUT_OF_ORDER": "ffff006400"}', 15, false, true, NULL, '2026-11-28 07:57:29.646671+00', '2026-11-28 07:57:29.646671+00', 'active', 'chirpstack', NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'OCCUPIED', 'ff00006400', NULL, NULL, NULL, NULL, 'unknown', false, 0, NULL, 'worst_state');
INSERT INTO public.gateways VALUES ('0016c001ff10a001', '2026-11-20 10:00:00+00', '2026-11-20 10:00:00+00');
INSERT INTO public.installation VALUES (1, '\x2b912d9b5643ac73f63065b5e71fc8d7327cbe0668d5390e23a09b2e4332b7b2', '2026-11-28 07:57:26.116939+00');
INSERT INTO public.locations VALUES ('00000000-0000-0000-0000-000000000001', NULL, 'site', 'Garage', 'Europe/Berlin', false, '{"owner": "x"}', '{00000000-0000-0000-0000-000000000001}', '2026-11-28 07:57:29.646671+00', '2026-11-28 07:57:29.646671+00');
INSERT INTO public.locations VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'floor', 'Floor 1', NULL, false, '{}', '{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}', '2026-11-28 07:57:29.646671+00', '2026-11-28 07:57:29.646671+00');
INSERT INTO public.overrides VALUES ('1d065f16-1ba5-42d7-8de7-91b70758747a', '00000000-0000-0000-0000-00000000000a', NULL, 'MAINTENANCE', '["2026-11-20 14:00:00+00","2026-11-20 15:00:00+00")', NULL, 'cli', '2026-11-28 07:57:29.646671+00', NULL);
INSERT INTO public.reservations VALUES ('00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000a', '2026-11-20 12:00:00+00', '2026-11-20 13:00:00+00', 'a@x.org', NULL, 'active', '{"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}', '2026-11-28 07:57:29.646671+00', '2026-11-28 07:57:29.646671+00', NULL, NULL, DEFAULT);
INSERT INTO public.schema_migrations VALUES ('0001_foundation', 'dfc1b6fada95a485be6486ad12044b3dc1eb6a11c82ee8141cbd40fa531967eb', '2026-11-28 07:57:26.421413+00');
INSERT INTO public.schema_migrations VALUES ('0002_devices_and_spaces', '09fc699fb9ac4d51220a91b89ef0f2a17c506f3de8caeff73030e98207c688ba', '2026-11-28 07:57:26.599882+00');
INSERT INTO public.schema_migrations VALUES ('0003_traffic', '16198e73c05def82f9b3df4529e3c6c15a24cc172b925418f85341c0e3854767', '2026-11-28 07:57:27.152959+00');
INSERT INTO public.schema_migrations VALUES ('0004_operations', '99761adad4b4018427b2440f0fe872f5759fead57e481cd94aff09c761db4f34', '2026-11-28 07:57:27.306808+00');
INSERT INTO public.schema_migrations VALUES ('0005_codecs', '7f20171dc8772a5495fe22eae94412370a25ec26c8b34c1b1dcd5a4dcd4a17e0', '2026-11-28 07:57:27.334653+00');
INSERT INTO public.schema_migrations VALUES ('0006_orphans', '91c7c70cdf7d1514d0b784a0d34f2e101497de2e7befb23c7dea2aad7b9b72bb', '2026-11-28 07:57:27.36412+00');
INSERT INTO public.schema_migrations VALUES ('0007_assignments', '3964553f8a25b71dcfb92b778550f2c27fe0707ae213a1a6cd8c8c405d753aab', '2026-11-28 07:57:27.467673+00');
INSERT INTO public.schema_migrations VALUES ('0007_assignments_validated', 'e9c6d552daba6eef735ad42d4d24bfd143e74cccec0b74c7285ebeb01ac93db6', '2026-11-28 07:57:27.491855+00');
INSERT INTO public.sensor_devices VALUES ('c2872512-be16-4de1-9c5c-26f735121971', '58a0cb00000000a1', 'browan_tbms100', NULL, NULL, NULL, '{}', true, '2026-11-20 10:00:00+00', '2026-11-28 07:57:29.646671+00', '2026-11-28 07:57:29.646671+00', 'active', 'chirpstack', NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '01020304', 7, NULL, NULL, 'OCCUPIED', '2026-11-20 10:00:00+00', NULL, false);
INSERT INTO public.spaces VALUES ('00000000-0000-0000-0000-00000000000a', 'Bay 1', 'A-1', '00000000-0000-0000-0000-000000000002', NULL, NULL, 'c2872512-be16-4de1-9c5c-26f735121971', 'b77469ac-7490-4416-96d4-e7ce073e5c44', '58a0cb00000000a1', '2020000000000001', 'OCCUPIED', '2026-11-20 10:00:00+00', NULL, NULL, NULL, NULL, NULL, 'UNKNOWN', false, NULL, '{"plate": true}', '2026-11-28 07:57:29.646671+00', '2026-11-28 07:57:29.646671+00', NULL);
INSERT INTO public.state_changes VALUES (1, '00000000-0000-0000-0000-00000000000a', 'FREE', 'OCCUPIED', 'sensor_uplink', NULL, NULL, '2026-11-20 10:00:00+00', 'sensor', NULL, NULL, NULL);
INSERT INTO public.uplinks_y2026m11 VALUES ('2026-11-20 10:00:00+00', '2026-11-20 10:00:01+00', NULL, '00000000-0000-0000-0000-0000000000b1', 7, 102, NULL, NULL, '58a0cb00000000a1', '0016c001ff10a001', 'OCCUPIED', 'state_changed', '\x01', NULL, NULL, 'chirpstack');
SELECT pg_catalog.setval('public.actuation_events_id_seq', 1, true);
SELECT pg_catalog.setval('public.audit_log_id_seq', 1, true);
SELECT pg_catalog.setval('public.device_lifecycle_events_id_seq', 2, true);
SELECT pg_catalog.setval('public.state_changes_id_seq', 1, true);
ALTER TABLE ONLY public.actuation_events
    ADD CONSTRAINT actuation_events_once UNIQUE (event_key);
ALTER TABLE ONLY public.actuation_events
    ADD CONSTRAINT actuation_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actuations
    ADD CONSTRAINT actuations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actuations_default
    ADD CONSTRAINT actuations_default_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actuations_y2026m10
    ADD CONSTRAINT actuations_y2026m10_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actuations_y2026m11
    ADD CONSTRAINT actuations_y2026m11_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actuations_y2026m12
    ADD CONSTRAINT actuations_y2026m12_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actuations_y2027m01
    ADD CONSTRAINT actuations_y2027m01_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_prefix_key UNIQUE (key_prefix);
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.device_assignments
    ADD CONSTRAINT device_assignments_one_device_per_space EXCLUDE USING gist (space_id WITH =, role WITH =, valid WITH &&) WHERE ((superseded_at IS NULL));
ALTER TABLE ONLY public.device_assignments
    ADD CONSTRAINT device_assignments_one_space_per_device EXCLUDE USING gist (device_id WITH =, valid WITH &&) WHERE (((superseded_at IS NULL) AND (NOT shared)));
ALTER TABLE ONLY public.device_assignments
    ADD CONSTRAINT device_assignments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.device_lifecycle_events
    ADD CONSTRAINT device_lifecycle_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.device_swaps
    ADD CONSTRAINT device_swaps_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.device_tests
    ADD CONSTRAINT device_tests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.device_types
    ADD CONSTRAINT device_types_pkey PRIMARY KEY (code);
ALTER TABLE ONLY public.display_devices
    ADD CONSTRAINT display_devices_dev_eui_key UNIQUE (dev_eui);
ALTER TABLE ONLY public.display_devices
    ADD CONSTRAINT display_devices_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateways
    ADD CONSTRAINT gateways_pkey PRIMARY KEY (gateway_id);
ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.locations
    ADD CONSTRAINT locations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.orphans
    ADD CONSTRAINT orphans_pkey PRIMARY KEY (dev_eui);
ALTER TABLE ONLY public.overrides
    ADD CONSTRAINT overrides_one_per_location EXCLUDE USING gist (location_id WITH =, valid WITH &&) WHERE ((location_id IS NOT NULL));
ALTER TABLE ONLY public.overrides
    ADD CONSTRAINT overrides_one_per_space EXCLUDE USING gist (space_id WITH =, valid WITH &&) WHERE ((space_id IS NOT NULL));
ALTER TABLE ONLY public.overrides
    ADD CONSTRAINT overrides_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.payload_codecs
    ADD CONSTRAINT payload_codecs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.payload_codecs
    ADD CONSTRAINT payload_codecs_version_key UNIQUE (name, version);
ALTER TABLE ONLY public.rejected_messages
    ADD CONSTRAINT rejected_messages_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_no_overlap EXCLUDE USING gist (space_id WITH =, during WITH &&) WHERE (((status)::text = 'active'::text));
ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.sensor_devices
    ADD CONSTRAINT sensor_devices_dev_eui_key UNIQUE (dev_eui);
ALTER TABLE ONLY public.sensor_devices
    ADD CONSTRAINT sensor_devices_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.spaces
    ADD CONSTRAINT spaces_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.state_changes
    ADD CONSTRAINT state_changes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT unique_key_hash UNIQUE (key_hash);
ALTER TABLE ONLY public.uplinks
    ADD CONSTRAINT uplinks_pkey PRIMARY KEY (observed_at, deduplication_id);
ALTER TABLE ONLY public.uplinks_default
    ADD CONSTRAINT uplinks_default_pkey PRIMARY KEY (observed_at, deduplication_id);
ALTER TABLE ONLY public.uplinks_y2026m10
    ADD CONSTRAINT uplinks_y2026m10_pkey PRIMARY KEY (observed_at, deduplication_id);
ALTER TABLE ONLY public.uplinks_y2026m11
    ADD CONSTRAINT uplinks_y2026m11_pkey PRIMARY KEY (observed_at, deduplication_id);
ALTER TABLE ONLY public.uplinks_y2026m12
    ADD CONSTRAINT uplinks_y2026m12_pkey PRIMARY KEY (observed_at, deduplication_id);
ALTER TABLE ONLY public.uplinks_y2027m01
    ADD CONSTRAINT uplinks_y2027m01_pkey PRIMARY KEY (observed_at, deduplication_id);
CREATE INDEX actuation_events_actuation ON public.actuation_events USING btree (actuation_id, id);
CREATE INDEX actuation_events_received_brin ON public.actuation_events USING brin (received_at);
CREATE INDEX actuation_events_unmatched ON public.actuation_events USING btree (downlink_queue_id) WHERE (actuation_id IS NULL);
CREATE INDEX actuations_waiting ON ONLY public.actuations USING btree (display_device_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text]));
CREATE INDEX actuations_default_display_device_id_id_idx ON public.actuations_default USING btree (display_device_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text]));
CREATE INDEX actuations_queue_item ON ONLY public.actuations USING btree (downlink_queue_id) WHERE (downlink_queue_id IS NOT NULL);
CREATE INDEX actuations_default_downlink_queue_id_idx ON public.actuations_default USING btree (downlink_queue_id) WHERE (downlink_queue_id IS NOT NULL);
CREATE INDEX idx_actuations_errors ON ONLY public.actuations USING btree (downlink_sent, "left"(downlink_error, 100)) WHERE (downlink_error IS NOT NULL);
CREATE INDEX actuations_default_downlink_sent_left_idx ON public.actuations_default USING btree (downlink_sent, "left"(downlink_error, 100)) WHERE (downlink_error IS NOT NULL);
CREATE INDEX actuations_pending ON ONLY public.actuations USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE INDEX actuations_default_next_attempt_at_idx ON public.actuations_default USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE INDEX idx_actuations_space_time ON ONLY public.actuations USING btree (space_id, created_at DESC);
CREATE INDEX actuations_default_space_id_created_at_idx ON public.actuations_default USING btree (space_id, created_at DESC);
CREATE INDEX idx_actuations_trigger ON ONLY public.actuations USING btree (trigger_type, created_at DESC);
CREATE INDEX actuations_default_trigger_type_created_at_idx ON public.actuations_default USING btree (trigger_type, created_at DESC);
CREATE INDEX actuations_y2026m10_display_device_id_id_idx ON public.actuations_y2026m10 USING btree (display_device_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text]));
CREATE INDEX actuations_y2026m10_downlink_queue_id_idx ON public.actuations_y2026m10 USING btree (downlink_queue_id) WHERE (downlink_queue_id IS NOT NULL);
CREATE INDEX actuations_y2026m10_downlink_sent_left_idx ON public.actuations_y2026m10 USING btree (downlink_sent, "left"(downlink_error, 100)) WHERE (downlink_error IS NOT NULL);
CREATE INDEX actuations_y2026m10_next_attempt_at_idx ON public.actuations_y2026m10 USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX actuations_y2026m10_one_outstanding ON public.actuations_y2026m10 USING btree (display_device_id) WHERE (status = ANY (ARRAY['sending'::text, 'queued'::text]));
CREATE INDEX actuations_y2026m10_space_id_created_at_idx ON public.actuations_y2026m10 USING btree (space_id, created_at DESC);
CREATE INDEX actuations_y2026m10_trigger_type_created_at_idx ON public.actuations_y2026m10 USING btree (trigger_type, created_at DESC);
CREATE INDEX actuations_y2026m11_display_device_id_id_idx ON public.actuations_y2026m11 USING btree (display_device_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text]));
CREATE INDEX actuations_y2026m11_downlink_queue_id_idx ON public.actuations_y2026m11 USING btree (downlink_queue_id) WHERE (downlink_queue_id IS NOT NULL);
CREATE INDEX actuations_y2026m11_downlink_sent_left_idx ON public.actuations_y2026m11 USING btree (downlink_sent, "left"(downlink_error, 100)) WHERE (downlink_error IS NOT NULL);
CREATE INDEX actuations_y2026m11_next_attempt_at_idx ON public.actuations_y2026m11 USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX actuations_y2026m11_one_outstanding ON public.actuations_y2026m11 USING btree (display_device_id) WHERE (status = ANY (ARRAY['sending'::text, 'queued'::text]));
CREATE INDEX actuations_y2026m11_space_id_created_at_idx ON public.actuations_y2026m11 USING btree (space_id, created_at DESC);
CREATE INDEX actuations_y2026m11_trigger_type_created_at_idx ON public.actuations_y2026m11 USING btree (trigger_type, created_at DESC);
CREATE INDEX actuations_y2026m12_display_device_id_id_idx ON public.actuations_y2026m12 USING btree (display_device_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text]));
CREATE INDEX actuations_y2026m12_downlink_queue_id_idx ON public.actuations_y2026m12 USING btree (downlink_queue_id) WHERE (downlink_queue_id IS NOT NULL);
CREATE INDEX actuations_y2026m12_downlink_sent_left_idx ON public.actuations_y2026m12 USING btree (downlink_sent, "left"(downlink_error, 100)) WHERE (downlink_error IS NOT NULL);
CREATE INDEX actuations_y2026m12_next_attempt_at_idx ON public.actuations_y2026m12 USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX actuations_y2026m12_one_outstanding ON public.actuations_y2026m12 USING btree (display_device_id) WHERE (status = ANY (ARRAY['sending'::text, 'queued'::text]));
CREATE INDEX actuations_y2026m12_space_id_created_at_idx ON public.actuations_y2026m12 USING btree (space_id, created_at DESC);
CREATE INDEX actuations_y2026m12_trigger_type_created_at_idx ON public.actuations_y2026m12 USING btree (trigger_type, created_at DESC);
CREATE INDEX actuations_y2027m01_display_device_id_id_idx ON public.actuations_y2027m01 USING btree (display_device_id, id) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text, 'queued'::text, 'transmitted'::text, 'acknowledged'::text]));
CREATE INDEX actuations_y2027m01_downlink_queue_id_idx ON public.actuations_y2027m01 USING btree (downlink_queue_id) WHERE (downlink_queue_id IS NOT NULL);
CREATE INDEX actuations_y2027m01_downlink_sent_left_idx ON public.actuations_y2027m01 USING btree (downlink_sent, "left"(downlink_error, 100)) WHERE (downlink_error IS NOT NULL);
CREATE INDEX actuations_y2027m01_next_attempt_at_idx ON public.actuations_y2027m01 USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX actuations_y2027m01_one_outstanding ON public.actuations_y2027m01 USING btree (display_device_id) WHERE (status = ANY (ARRAY['sending'::text, 'queued'::text]));
CREATE INDEX actuations_y2027m01_space_id_created_at_idx ON public.actuations_y2027m01 USING btree (space_id, created_at DESC);
CREATE INDEX actuations_y2027m01_trigger_type_created_at_idx ON public.actuations_y2027m01 USING btree (trigger_type, created_at DESC);
CREATE INDEX audit_log_at ON public.audit_log USING btree (at);
CREATE INDEX audit_log_object ON public.audit_log USING btree (object_type, object_id, id);
CREATE INDEX device_assignments_device ON public.device_assignments USING btree (device_id) WHERE (superseded_at IS NULL);
CREATE INDEX device_assignments_space ON public.device_assignments USING btree (space_id, role) WHERE (superseded_at IS NULL);
CREATE INDEX device_lifecycle_events_device ON public.device_lifecycle_events USING btree (device_id, at);
CREATE INDEX device_swaps_new ON public.device_swaps USING btree (new_device_id, recorded_at DESC);
CREATE INDEX device_swaps_old ON public.device_swaps USING btree (old_device_id, recorded_at DESC);
CREATE INDEX device_swaps_space ON public.device_swaps USING btree (space_id, role, recorded_at DESC);
CREATE INDEX device_swaps_swap ON public.device_swaps USING btree (swap_id);
CREATE INDEX device_tests_display ON public.device_tests USING btree (display_device_id, started_at DESC);
CREATE INDEX device_tests_running ON public.device_tests USING btree (started_at) WHERE (result = 'running'::text);
CREATE INDEX device_tests_sensor ON public.device_tests USING btree (sensor_device_id, started_at DESC) WHERE (sensor_device_id IS NOT NULL);
CREATE INDEX device_tests_space ON public.device_tests USING btree (space_id);
CREATE INDEX display_devices_device_type ON public.display_devices USING btree (device_type);
CREATE INDEX display_devices_reconcile ON public.display_devices USING btree (reconcile_at) WHERE (reconcile_at IS NOT NULL);
CREATE INDEX idx_api_keys_active ON public.api_keys USING btree (is_active) WHERE (is_active = true);
CREATE INDEX idx_display_devices_deveui ON public.display_devices USING btree (dev_eui, enabled) WHERE (enabled = true);
CREATE INDEX idx_reservations_space ON public.reservations USING btree (space_id);
CREATE INDEX idx_reservations_status ON public.reservations USING btree (status) WHERE ((status)::text = 'active'::text);
CREATE INDEX idx_reservations_time ON public.reservations USING btree (start_time, end_time) WHERE ((status)::text = 'active'::text);
CREATE INDEX idx_sensor_devices_deveui ON public.sensor_devices USING btree (dev_eui, enabled) WHERE (enabled = true);
CREATE INDEX idx_spaces_sensor ON public.spaces USING btree (sensor_deveui) WHERE (deleted_at IS NULL);
CREATE INDEX idx_state_changes_space ON public.state_changes USING btree (space_id, "timestamp" DESC);
CREATE INDEX idx_state_changes_timestamp_brin ON public.state_changes USING brin ("timestamp");
CREATE INDEX locations_path ON public.locations USING gin (path);
CREATE UNIQUE INDEX locations_sibling_name ON public.locations USING btree (COALESCE(parent_id, '00000000-0000-0000-0000-000000000000'::uuid), kind, name);
CREATE INDEX orphans_last ON public.orphans USING btree (last_at);
CREATE UNIQUE INDEX payload_codecs_one_active ON public.payload_codecs USING btree (name) WHERE active;
CREATE INDEX rejected_messages_last ON public.rejected_messages USING btree (last_at);
CREATE UNIQUE INDEX reservations_request_id ON public.reservations USING btree (request_id) WHERE (request_id IS NOT NULL);
CREATE INDEX sensor_devices_device_type ON public.sensor_devices USING btree (device_type);
CREATE UNIQUE INDEX spaces_code_live ON public.spaces USING btree (code) WHERE (deleted_at IS NULL);
CREATE INDEX spaces_display_device ON public.spaces USING btree (display_device_id) WHERE (display_device_id IS NOT NULL);
CREATE INDEX spaces_location ON public.spaces USING btree (location_id);
CREATE INDEX spaces_recompute ON public.spaces USING btree (recompute_at) WHERE (recompute_at IS NOT NULL);
CREATE INDEX spaces_sensor_device ON public.spaces USING btree (sensor_device_id) WHERE (sensor_device_id IS NOT NULL);
CREATE INDEX uplinks_device ON ONLY public.uplinks USING btree (dev_eui, received_at DESC);
CREATE INDEX uplinks_default_dev_eui_received_at_idx ON public.uplinks_default USING btree (dev_eui, received_at DESC);
CREATE INDEX uplinks_y2026m10_dev_eui_received_at_idx ON public.uplinks_y2026m10 USING btree (dev_eui, received_at DESC);
CREATE INDEX uplinks_y2026m11_dev_eui_received_at_idx ON public.uplinks_y2026m11 USING btree (dev_eui, received_at DESC);
CREATE INDEX uplinks_y2026m12_dev_eui_received_at_idx ON public.uplinks_y2026m12 USING btree (dev_eui, received_at DESC);
CREATE INDEX uplinks_y2027m01_dev_eui_received_at_idx ON public.uplinks_y2027m01 USING btree (dev_eui, received_at DESC);
ALTER INDEX public.actuations_waiting ATTACH PARTITION public.actuations_default_display_device_id_id_idx;
ALTER INDEX public.actuations_queue_item ATTACH PARTITION public.actuations_default_downlink_queue_id_idx;
ALTER INDEX public.idx_actuations_errors ATTACH PARTITION public.actuations_default_downlink_sent_left_idx;
ALTER INDEX public.actuations_pending ATTACH PARTITION public.actuations_default_next_attempt_at_idx;
ALTER INDEX public.actuations_pkey ATTACH PARTITION public.actuations_default_pkey;
ALTER INDEX public.idx_actuations_space_time ATTACH PARTITION public.actuations_default_space_id_created_at_idx;
ALTER INDEX public.idx_actuations_trigger ATTACH PARTITION public.actuations_default_trigger_type_created_at_idx;
ALTER INDEX public.actuations_waiting ATTACH PARTITION public.actuations_y2026m10_display_device_id_id_idx;
ALTER INDEX public.actuations_queue_item ATTACH PARTITION public.actuations_y2026m10_downlink_queue_id_idx;
ALTER INDEX public.idx_actuations_errors ATTACH PARTITION public.actuations_y2026m10_downlink_sent_left_idx;
ALTER INDEX public.actuations_pending ATTACH PARTITION public.actuations_y2026m10_next_attempt_at_idx;
ALTER INDEX public.actuations_pkey ATTACH PARTITION public.actuations_y2026m10_pkey;
ALTER INDEX public.idx_actuations_space_time ATTACH PARTITION public.actuations_y2026m10_space_id_created_at_idx;
ALTER INDEX public.idx_actuations_trigger ATTACH PARTITION public.actuations_y2026m10_trigger_type_created_at_idx;
ALTER INDEX public.actuations_waiting ATTACH PARTITION public.actuations_y2026m11_display_device_id_id_idx;
ALTER INDEX public.actuations_queue_item ATTACH PARTITION public.actuations_y2026m11_downlink_queue_id_idx;
ALTER INDEX public.idx_actuations_errors ATTACH PARTITION public.actuations_y2026m11_downlink_sent_left_idx;
ALTER INDEX public.actuations_pending ATTACH PARTITION public.actuations_y2026m11_next_attempt_at_idx;
ALTER INDEX public.actuations_pkey ATTACH PARTITION public.actuations_y2026m11_pkey;
ALTER INDEX public.idx_actuations_space_time ATTACH PARTITION public.actuations_y2026m11_space_id_created_at_idx;
ALTER INDEX public.idx_actuations_trigger ATTACH PARTITION public.actuations_y2026m11_trigger_type_created_at_idx;
ALTER INDEX public.actuations_waiting ATTACH PARTITION public.actuations_y2026m12_display_device_id_id_idx;
ALTER INDEX public.actuations_queue_item ATTACH PARTITION public.actuations_y2026m12_downlink_queue_id_idx;
ALTER INDEX public.idx_actuations_errors ATTACH PARTITION public.actuations_y2026m12_downlink_sent_left_idx;
ALTER INDEX public.actuations_pending ATTACH PARTITION public.actuations_y2026m12_next_attempt_at_idx;
ALTER INDEX public.actuations_pkey ATTACH PARTITION public.actuations_y2026m12_pkey;
ALTER INDEX public.idx_actuations_space_time ATTACH PARTITION public.actuations_y2026m12_space_id_created_at_idx;
ALTER INDEX public.idx_actuations_trigger ATTACH PARTITION public.actuations_y2026m12_trigger_type_created_at_idx;
ALTER INDEX public.actuations_waiting ATTACH PARTITION public.actuations_y2027m01_display_device_id_id_idx;
ALTER INDEX public.actuations_queue_item ATTACH PARTITION public.actuations_y2027m01_downlink_queue_id_idx;
ALTER INDEX public.idx_actuations_errors ATTACH PARTITION public.actuations_y2027m01_downlink_sent_left_idx;
ALTER INDEX public.actuations_pending ATTACH PARTITION public.actuations_y2027m01_next_attempt_at_idx;
ALTER INDEX public.actuations_pkey ATTACH PARTITION public.actuations_y2027m01_pkey;
ALTER INDEX public.idx_actuations_space_time ATTACH PARTITION public.actuations_y2027m01_space_id_created_at_idx;
ALTER INDEX public.idx_actuations_trigger ATTACH PARTITION public.actuations_y2027m01_trigger_type_created_at_idx;
ALTER INDEX public.uplinks_device ATTACH PARTITION public.uplinks_default_dev_eui_received_at_idx;
ALTER INDEX public.uplinks_pkey ATTACH PARTITION public.uplinks_default_pkey;
ALTER INDEX public.uplinks_device ATTACH PARTITION public.uplinks_y2026m10_dev_eui_received_at_idx;
ALTER INDEX public.uplinks_pkey ATTACH PARTITION public.uplinks_y2026m10_pkey;
ALTER INDEX public.uplinks_device ATTACH PARTITION public.uplinks_y2026m11_dev_eui_received_at_idx;
ALTER INDEX public.uplinks_pkey ATTACH PARTITION public.uplinks_y2026m11_pkey;
ALTER INDEX public.uplinks_device ATTACH PARTITION public.uplinks_y2026m12_dev_eui_received_at_idx;
ALTER INDEX public.uplinks_pkey ATTACH PARTITION public.uplinks_y2026m12_pkey;
ALTER INDEX public.uplinks_device ATTACH PARTITION public.uplinks_y2027m01_dev_eui_received_at_idx;
ALTER INDEX public.uplinks_pkey ATTACH PARTITION public.uplinks_y2027m01_pkey;
CREATE TRIGGER actuations_announced AFTER INSERT ON public.actuations FOR EACH STATEMENT EXECUTE FUNCTION public.actuations_notify();
CREATE TRIGGER actuations_decision_fixed BEFORE UPDATE OF id, space_id, trigger_type, trigger_source, previous_state, new_state, display_device_id, display_deveui, display_code, fport, confirmed, created_at ON public.actuations FOR EACH ROW EXECUTE FUNCTION public.reject_change();
CREATE TRIGGER actuations_transition BEFORE UPDATE OF status ON public.actuations FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT public.actuation_may_move(old.status, new.status)))) EXECUTE FUNCTION public.actuations_refuse_move();
CREATE TRIGGER audit_log_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.reject_change();
CREATE TRIGGER device_lifecycle_events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.device_lifecycle_events FOR EACH STATEMENT EXECUTE FUNCTION public.reject_change();
CREATE TRIGGER device_types_updated_at BEFORE UPDATE ON public.device_types FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER display_devices_announced AFTER UPDATE OF sync_status, enabled, display_codes ON public.display_devices FOR EACH STATEMENT EXECUTE FUNCTION public.display_devices_notify();
CREATE TRIGGER display_devices_dev_eui_followed AFTER UPDATE OF dev_eui ON public.display_devices FOR EACH ROW WHEN (((old.dev_eui)::text IS DISTINCT FROM (new.dev_eui)::text)) EXECUTE FUNCTION public.display_devices_copy_dev_eui();
CREATE TRIGGER display_devices_lifecycle_inserted AFTER INSERT ON public.display_devices FOR EACH ROW EXECUTE FUNCTION public.devices_record_lifecycle('display');
CREATE TRIGGER display_devices_lifecycle_step BEFORE UPDATE OF lifecycle_state ON public.display_devices FOR EACH ROW WHEN ((old.lifecycle_state IS DISTINCT FROM new.lifecycle_state)) EXECUTE FUNCTION public.devices_check_lifecycle();
CREATE TRIGGER display_devices_lifecycle_updated AFTER UPDATE OF lifecycle_state ON public.display_devices FOR EACH ROW WHEN ((old.lifecycle_state IS DISTINCT FROM new.lifecycle_state)) EXECUTE FUNCTION public.devices_record_lifecycle('display');
CREATE TRIGGER display_devices_updated_at BEFORE UPDATE OF dev_eui, device_type, device_model, manufacturer, display_codes, fport, confirmed_downlinks, enabled, lifecycle_state, shared, notes ON public.display_devices FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER locations_children_follow AFTER UPDATE OF parent_id, path ON public.locations FOR EACH ROW WHEN ((old.path IS DISTINCT FROM new.path)) EXECUTE FUNCTION public.locations_move_children();
CREATE TRIGGER locations_path_kept BEFORE INSERT OR UPDATE OF parent_id, path ON public.locations FOR EACH ROW EXECUTE FUNCTION public.locations_set_path();
CREATE TRIGGER locations_updated_at BEFORE UPDATE ON public.locations FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER payload_codecs_fixed BEFORE UPDATE OF id, name, version, source, mapping, examples, notes, created_by, created_at ON public.payload_codecs FOR EACH ROW EXECUTE FUNCTION public.payload_codecs_keep();
CREATE TRIGGER payload_codecs_kept BEFORE DELETE ON public.payload_codecs FOR EACH ROW EXECUTE FUNCTION public.payload_codecs_keep();
CREATE TRIGGER sensor_devices_dev_eui_followed AFTER UPDATE OF dev_eui ON public.sensor_devices FOR EACH ROW WHEN (((old.dev_eui)::text IS DISTINCT FROM (new.dev_eui)::text)) EXECUTE FUNCTION public.sensor_devices_copy_dev_eui();
CREATE TRIGGER sensor_devices_lifecycle_inserted AFTER INSERT ON public.sensor_devices FOR EACH ROW EXECUTE FUNCTION public.devices_record_lifecycle('sensor');
CREATE TRIGGER sensor_devices_lifecycle_step BEFORE UPDATE OF lifecycle_state ON public.sensor_devices FOR EACH ROW WHEN ((old.lifecycle_state IS DISTINCT FROM new.lifecycle_state)) EXECUTE FUNCTION public.devices_check_lifecycle();
CREATE TRIGGER sensor_devices_lifecycle_updated AFTER UPDATE OF lifecycle_state ON public.sensor_devices FOR EACH ROW WHEN ((old.lifecycle_state IS DISTINCT FROM new.lifecycle_state)) EXECUTE FUNCTION public.devices_record_lifecycle('sensor');
CREATE TRIGGER sensor_devices_updated_at BEFORE UPDATE OF dev_eui, device_type, device_model, manufacturer, payload_decoder, capabilities, enabled, lifecycle_state, mobile, notes ON public.sensor_devices FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER spaces_assignments_recorded AFTER INSERT OR UPDATE OF sensor_device_id, display_device_id, sensor_deveui, display_deveui, deleted_at ON public.spaces FOR EACH ROW EXECUTE FUNCTION public.spaces_record_assignments();
CREATE TRIGGER spaces_sync_deveuis BEFORE INSERT OR UPDATE OF sensor_device_id, display_device_id, sensor_deveui, display_deveui ON public.spaces FOR EACH ROW EXECUTE FUNCTION public.sync_device_deveuis();
CREATE TRIGGER state_changes_announced AFTER INSERT ON public.state_changes REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.state_changes_notify();
CREATE TRIGGER state_changes_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.state_changes FOR EACH STATEMENT EXECUTE FUNCTION public.reject_change();
CREATE TRIGGER update_reservations_updated_at BEFORE UPDATE ON public.reservations FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER update_spaces_updated_at BEFORE UPDATE OF name, code, location_id, gps_latitude, gps_longitude, sensor_device_id, display_device_id, default_state, maintenance, metadata, deleted_at ON public.spaces FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
ALTER TABLE public.actuations
    ADD CONSTRAINT actuations_display_fk FOREIGN KEY (display_device_id) REFERENCES public.display_devices(id);
ALTER TABLE public.actuations
    ADD CONSTRAINT actuations_space_fk FOREIGN KEY (space_id) REFERENCES public.spaces(id);
ALTER TABLE ONLY public.device_assignments
    ADD CONSTRAINT device_assignments_display_fk FOREIGN KEY (display_device_id) REFERENCES public.display_devices(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.device_assignments
    ADD CONSTRAINT device_assignments_sensor_fk FOREIGN KEY (sensor_device_id) REFERENCES public.sensor_devices(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.device_assignments
    ADD CONSTRAINT device_assignments_space_fk FOREIGN KEY (space_id) REFERENCES public.spaces(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.device_swaps
    ADD CONSTRAINT device_swaps_space_fk FOREIGN KEY (space_id) REFERENCES public.spaces(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.device_tests
    ADD CONSTRAINT device_tests_display_fk FOREIGN KEY (display_device_id) REFERENCES public.display_devices(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.device_tests
    ADD CONSTRAINT device_tests_sensor_fk FOREIGN KEY (sensor_device_id) REFERENCES public.sensor_devices(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.device_tests
    ADD CONSTRAINT device_tests_space_fk FOREIGN KEY (space_id) REFERENCES public.spaces(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.display_devices
    ADD CONSTRAINT display_devices_type_fk FOREIGN KEY (device_type) REFERENCES public.device_types(code);
ALTER TABLE ONLY public.spaces
    ADD CONSTRAINT fk_display_device FOREIGN KEY (display_device_id) REFERENCES public.display_devices(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.spaces
    ADD CONSTRAINT fk_sensor_device FOREIGN KEY (sensor_device_id) REFERENCES public.sensor_devices(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT fk_space FOREIGN KEY (space_id) REFERENCES public.spaces(id);
ALTER TABLE ONLY public.locations
    ADD CONSTRAINT locations_parent_fk FOREIGN KEY (parent_id) REFERENCES public.locations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.overrides
    ADD CONSTRAINT overrides_location_fk FOREIGN KEY (location_id) REFERENCES public.locations(id);
ALTER TABLE ONLY public.overrides
    ADD CONSTRAINT overrides_space_fk FOREIGN KEY (space_id) REFERENCES public.spaces(id);
ALTER TABLE ONLY public.sensor_devices
    ADD CONSTRAINT sensor_devices_type_fk FOREIGN KEY (device_type) REFERENCES public.device_types(code);
ALTER TABLE ONLY public.spaces
    ADD CONSTRAINT spaces_location_fk FOREIGN KEY (location_id) REFERENCES public.locations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY public.state_changes
    ADD CONSTRAINT state_changes_space_fk FOREIGN KEY (space_id) REFERENCES public.spaces(id);
