import { Controller, Get, Post } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { ApiOkResponse, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { expect, it } from 'vitest';
import { CacheLock, CachePage, CacheResponse, NoCache, TieredCacheModule } from '../../src/index.js';

@CachePage('1m')
@Controller('courses')
class Courses {
  @Get()
  list(): string[] {
    return [];
  }

  @ApiOkResponse({ description: 'One course', headers: { Age: { description: 'said by the application' } } })
  @Get(':id')
  one(): string {
    return '';
  }

  @NoCache()
  @Get('none/of/it')
  none(): string {
    return '';
  }

  @CacheResponse({ ttl: '1m', public: true })
  @Get('a/value')
  value(): string {
    return '';
  }

  @CacheLock({ key: 'k' })
  @Post()
  add(): void {}
}

type Documented = Record<string, { description: string; headers?: Record<string, { description: string }> }>;

it('documents 304 and the headers of pages, in a document of @nestjs/swagger', async () => {
  const module = await Test.createTestingModule({
    imports: [TieredCacheModule.forRoot()],
    controllers: [Courses],
  }).compile();
  const application = module.createNestApplication({ logger: false });
  const { paths } = SwaggerModule.createDocument(application, new DocumentBuilder().build());
  const answers = (path: string, method: 'get' | 'post' = 'get'): Documented =>
    paths[path]?.[method]?.responses as Documented;

  expect(Object.keys(answers('/courses'))).toEqual(['200', '304']);
  expect(Object.keys(answers('/courses')['200']?.headers ?? {}).sort()).toEqual(
    ['Age', 'Cache-Control', 'Cache-Status', 'ETag'].sort(),
  );
  expect(Object.keys(answers('/courses')['304']?.headers ?? {}).sort()).toEqual(
    ['Cache-Control', 'Cache-Status', 'ETag'].sort(),
  );
  expect(answers('/courses/{id}')['200']).toMatchObject({
    description: 'One course',
    headers: { Age: { description: 'said by the application' }, ETag: {} },
  });
  for (const path of ['/courses/none/of/it', '/courses/a/value']) expect(Object.keys(answers(path))).toEqual(['200']);
  expect(Object.keys(answers('/courses', 'post'))).toEqual(['201', '400', '429', '503']);
  await application.close();
});
