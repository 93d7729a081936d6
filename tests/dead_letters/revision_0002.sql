-- A store as revision 0002 made it, with one letter. Never edited: newer releases must open it.
BEGIN TRANSACTION;
CREATE TABLE stanchion_dead_letters (
	id TEXT NOT NULL, 
	recipient TEXT NOT NULL, 
	message_type TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	payload BLOB, 
	preview TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	error TEXT, 
	state TEXT NOT NULL, 
	attempts TEXT NOT NULL, 
	attempt_count INTEGER NOT NULL, 
	redeliveries INTEGER NOT NULL, 
	next_attempt_at DOUBLE, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	metadata TEXT NOT NULL, 
	message_id TEXT, 
	trace_id TEXT, 
	span_id TEXT, 
	replay_of TEXT, 
	redeliverable BOOLEAN NOT NULL, 
	claimed_by TEXT, 
	claimed_until DOUBLE, 
	note TEXT, 
	revision INTEGER NOT NULL, 
	due_at DOUBLE, 
	PRIMARY KEY (id)
);
INSERT INTO "stanchion_dead_letters" VALUES('01890a5d-ac96-774b-bcce-b302099a8057','inventory','data',1,X'C70E0193A772657365727665A3412D3103','(''reserve'', ''A-1'', 3)','noproc','no process is called inventory','waiting','[{"at":1700000000.0,"reason":"noproc","error":"no process is called inventory"}]',1,0,1700000006.0,1700000001.0,1700000001.0,'{"order":17}','m-1',NULL,NULL,NULL,1,NULL,NULL,NULL,0,1700000006.0);
CREATE TABLE stanchion_dead_letters_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT stanchion_dead_letters_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "stanchion_dead_letters_version" VALUES('0002');
CREATE INDEX stanchion_dead_letters_due ON stanchion_dead_letters (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX stanchion_dead_letters_aged ON stanchion_dead_letters (state, updated_at) WHERE due_at IS NULL;
CREATE INDEX stanchion_dead_letters_state ON stanchion_dead_letters (state, id);
CREATE INDEX stanchion_dead_letters_recipient ON stanchion_dead_letters (recipient, id);
CREATE INDEX stanchion_dead_letters_reason ON stanchion_dead_letters (reason, id);
CREATE INDEX stanchion_dead_letters_message_type ON stanchion_dead_letters (message_type, id);
CREATE INDEX stanchion_dead_letters_replay_of ON stanchion_dead_letters (replay_of) WHERE replay_of IS NOT NULL;
COMMIT;
