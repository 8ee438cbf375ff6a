import 'reflect-metadata';
import { Controller, Post, Req, UploadedFile, UseInterceptors, type INestApplication } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheLockService, Idempotent, TieredCacheModule } from '../../../src/index.js';
import { until } from '../../faults/subject.js';
import { closeAll, serve, type Platform } from '../../nest/boot.js';

let runs = 0;
afterEach(async () => {
  runs = 0;
  await closeAll();
});

@Controller()
class Files {
  @Idempotent({ scope: () => 'everybody' })
  @UseInterceptors(FileInterceptor('file'))
  @Post('upload')
  upload(@UploadedFile() file: { buffer: Buffer } | undefined): string {
    return `run ${++runs}: ${file?.buffer.toString() ?? ''}`;
  }

  @Idempotent({ scope: () => 'everybody' })
  @Post('raw')
  raw(@Req() _request: unknown): string {
    return `run ${++runs}`;
  }
}

let app: INestApplication;
let url: string;

async function listen(platform: Platform): Promise<void> {
  // Fastify refuses what it has no parser for; one that leaves the body alone is what its multipart plugin is.
  const leaveAlone = (_: unknown, __: unknown, done: (error: null) => void): void => done(null);
  ({ app, url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Files] }, (made) => {
    if (platform !== 'fastify') return;
    const { instance } = made.getHttpAdapter() as unknown as {
      instance: { addContentTypeParser(type: unknown, parse: unknown): void };
    };
    for (const type of [/^multipart\//, 'text/csv']) instance.addContentTypeParser(type, leaveAlone);
  }));
}

async function post(path: string, body: string | FormData, headers: object = {}) {
  const sent = { 'idempotency-key': '"k"', ...headers };
  const response = await fetch(`${url}/${path}`, { method: 'POST', body, headers: sent });
  const text = await response.text();
  await until(async () => app.get(CacheLockService).stats().held === 0, 2000);
  return { status: response.status, text, isReplayed: response.headers.get('idempotent-replayed') === 'true' };
}

function form(text: string): FormData {
  const made = new FormData();
  made.set('file', new Blob([text]), 'file.txt');
  return made;
}

const csv = { 'content-type': 'text/csv' };

describe('@Idempotent, a body that is not parsed before the guards', () => {
  it('422 for another upload with the same key; the same one, under its own boundary, is replayed', async () => {
    await listen('express');
    expect((await post('upload', form('one'))).text).toBe('run 1: one');
    expect(await post('upload', form('one'))).toMatchObject({ text: 'run 1: one', isReplayed: true });
    expect(await post('upload', form('three'))).toMatchObject({ status: 422 });
    expect(runs).toBe(1);
  });

  it.each<Platform>(['express', 'fastify'])('%s: by its length, type and digest', async (platform) => {
    await listen(platform);
    const digest = { ...csv, 'content-digest': 'sha-256=:aaaa:' };
    expect((await post('raw', 'a;b', digest)).text).toBe('run 1');
    expect(await post('raw', 'a;b', digest)).toMatchObject({ text: 'run 1', isReplayed: true });
    for (const [body, headers] of [
      ['a;b;c', digest],
      ['a;c', { ...digest, 'content-digest': 'sha-256=:bbbb:' }],
      ['a;b', { ...digest, 'content-type': 'multipart/mixed; boundary=b' }],
    ] as const)
      expect(await post('raw', body, headers)).toMatchObject({ status: 422 });
    expect(runs).toBe(1);
  });

  it.each([
    ['text/csv; charset=utf-8', 'Text/CSV;charset="utf-8"', 201],
    ['multipart/mixed; boundary=one', 'multipart/mixed; boundary="two"', 201],
    ['multipart/mixed; Boundary="o;ne"; type=a', 'multipart/mixed; type=a; boundary=other', 201],
    ['text/csv; charset=utf-8', 'text/csv; charset=latin1', 422],
  ])('%s, then %s: %i', async (first, second, status) => {
    await listen('express');
    expect((await post('raw', 'a', { 'content-type': first })).status).toBe(201);
    expect((await post('raw', 'a', { 'content-type': second })).status).toBe(status);
  });

  it('no body at all is as before', async () => {
    await listen('express');
    expect((await post('raw', '')).text).toBe('run 1');
    expect(await post('raw', '')).toMatchObject({ text: 'run 1', isReplayed: true });
  });
});
