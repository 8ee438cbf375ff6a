import { bulkContestants } from './races.bulk.mjs';
import { functionContestants } from './races.functions.mjs';
import { lockContestants } from './races.locks.mjs';
import { callContestants, copyContestants, peekContestants, taggedContestants } from './races.memory.mjs';
import { remoteContestants } from './races.remote.mjs';

/**
 * Who runs against whom, and what ours has to reach: `targets` maps a contestant to the least ratio ours / theirs. Contestants without a
 * target are there to be seen.
 */
export const races = {
  'peek, memory hit': { contestants: peekContestants, ours: 'peek', targets: { 'Map + TTL': 0.7 } },
  'getOrSet, memory hit': {
    contestants: callContestants,
    ours: 'getOrSet',
    targets: { 'layered-loader': 1.2, 'async function over a Map': 0.75 },
    bytesBelow: 300,
  },
  'getOrSet, memory hit with a tag': {
    contestants: taggedContestants,
    ours: 'with a tag',
    // A hit may cost 1.3 times that of one without.
    targets: { without: 0.77 },
    bytesBelow: 300,
  },
  'memory hit, an object for each reader': {
    contestants: copyContestants,
    ours: 'getOrSet',
    targets: {},
  },
  '@Cached, memory hit': {
    contestants: functionContestants,
    ours: '@Cached',
    // A hit may cost 1.5 times that of a plain getOrSet.
    targets: { getOrSet: 0.67 },
    bytesBelow: 300,
  },
  'Redis hit, 100 B x 50': {
    contestants: remoteContestants(100),
    ours: 'getOrSet',
    targets: { 'ioredis GET + JSON.parse': 1.4 },
    redis: true,
  },
  'Redis hit, 10 kB x 50': {
    contestants: remoteContestants(10_000),
    ours: 'getOrSet',
    targets: { 'ioredis GET + JSON.parse': 0.9 },
    redis: true,
  },
  'Redis hit, 10 kB x 50, an object for each caller': {
    contestants: remoteContestants(10_000, { isolation: 'copy' }),
    ours: 'getOrSet, own objects',
    targets: { 'ioredis GET + JSON.parse': 0.9 },
    redis: true,
  },
  'Redis hit, 10 kB x 50 as bytes': {
    contestants: remoteContestants(10_000, { codec: 'bytes' }),
    ours: 'getOrSet as bytes',
    targets: { 'ioredis GET + JSON.parse': 3 },
    redis: true,
  },
  'getMany of 100, half in memory': {
    contestants: bulkContestants,
    ours: 'getMany',
    targets: { 'Map + one MGET': 0.85 },
    redis: true,
  },
  'lock nobody else wants': {
    contestants: lockContestants(1),
    ours: 'acquire + release',
    targets: { 'SET NX PX + compare-and-delete': 0.77 },
    redis: true,
  },
  'lock nobody else wants, 64 in flight': {
    contestants: lockContestants(64),
    ours: 'acquire + release',
    targets: {},
    redis: true,
  },
};
