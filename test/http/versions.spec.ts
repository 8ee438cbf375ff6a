import 'reflect-metadata';
import {
  Controller,
  Get,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
  type INestApplication,
  type VersioningOptions,
} from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A cache in front of us has the URL and `Vary` to tell API versions apart, and nothing else.

afterEach(closeAll);

@Controller('books')
@CachePage('1m')
class Books {
  @Get()
  @Version('1')
  one(): string {
    return 'one';
  }

  @Get()
  @Version('2')
  two(): string {
    return 'two';
  }

  @Get()
  @Version(VERSION_NEUTRAL)
  any(): string {
    return 'any';
  }
}

@Controller('plain')
@CachePage('1m')
class Plain {
  @Get()
  one(): string {
    return 'plain';
  }
}

const ofRequest = (request: unknown): string =>
  String((request as { headers: Record<string, string | undefined> }).headers['x-chosen'] ?? '');

const byHeader: VersioningOptions = { type: VersioningType.HEADER, header: 'X-API-Version' };

describe.each(['express', 'fastify'] as const)('on %s', (platform) => {
  const start = (versioning: VersioningOptions): Promise<{ url: string }> =>
    serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Books, Plain] }, (app: INestApplication) =>
      app.enableVersioning(versioning),
    );
  const both = async (
    url: string,
    headers: Record<string, string>,
  ): Promise<Array<Awaited<ReturnType<typeof ask>>>> => {
    const answers = [await ask(url, { headers }), await ask(url, { headers })];
    expect(answers[1]?.headers['cache-status']).toContain('; hit');
    return answers;
  };

  it.each([
    ['a header', byHeader, { 'x-api-version': '1' }, { 'x-api-version': '2' }, 'x-api-version'],
    [
      'the media type',
      { type: VersioningType.MEDIA_TYPE, key: 'v=' },
      { accept: 'application/json;v=1' },
      { accept: 'application/json;v=2' },
      'accept',
    ],
  ] as const)('versions by %s are in Vary', async (_by, versioning, first, second, name) => {
    const { url } = await start(versioning);
    for (const [headers, body] of [
      [first, 'one'],
      [second, 'two'],
      [{ 'x-other': 'a' }, 'any'],
    ] as const)
      for (const answer of await both(`${url}/books`, headers as Record<string, string>)) {
        expect(String(answer.body)).toBe(body);
        expect(answer.headers['vary']).toBe(name);
        expect(answer.headers['cache-control']).not.toContain('private');
      }
  });

  it('versions that a function finds are for the client only', async () => {
    const { url } = await start({ type: VersioningType.CUSTOM, extractor: ofRequest });
    for (const [chosen, body] of [
      ['1', 'one'],
      ['2', 'two'],
    ] as const)
      for (const answer of await both(`${url}/books`, { 'x-chosen': chosen })) {
        expect(String(answer.body)).toBe(body);
        expect(answer.headers['cache-control']).toMatch(/^private,/);
      }
  });

  it('versions in the URL, and pages without a version, need no more than the URL', async () => {
    const { url } = await start({ type: VersioningType.URI });
    for (const answer of await both(`${url}/v1/books`, {})) expect(answer.headers).not.toHaveProperty('vary');
    for (const answer of await both(`${url}/plain`, {})) expect(answer.headers).not.toHaveProperty('vary');
  });

  it('a page without a version has the default one, if there is one', async () => {
    const { url } = await start({ ...byHeader, defaultVersion: '1' });
    for (const answer of await both(`${url}/plain`, { 'x-api-version': '1' }))
      expect(answer.headers['vary']).toBe('x-api-version');
  });
});
