import 'reflect-metadata';
import { Controller, Get, Post, Query, type Type } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { TieredCacheModule } from '../../../src/tiered-cache.module.js';
import { byPagination, byQuery } from '../../../src/http/keys/query.components.js';
import { byParams, byRoute } from '../../../src/http/keys/route.components.js';
import { CachePage } from '../../../src/http/policy/cache-page.decorator.js';
import { checkPageParameters } from '../../../src/http/policy/check-page-parameters.js';
import { ResponseCachePolicies } from '../../../src/http/policy/response-cache.policies.js';
import type { ResponseCachePolicy } from '../../../src/http/policy/response-cache.policy.js';

/** Leaves metadata on the property, as a validator's decorator does, and hides the field from `new`. */
function Declared(): PropertyDecorator {
  return () => {};
}

class PageDto {
  declare page?: number;
}
Reflect.decorate([Declared(), Reflect.metadata('design:type', Number) as PropertyDecorator], PageDto.prototype, 'page');

class FieldsDto {
  limit = 10;
  q?: string = undefined;
}

class DocumentedDto {}
Reflect.defineMetadata('swagger/apiModelPropertiesArray', [':cursor'], DocumentedDto.prototype);

class ValidatedDto {}

class PickyDto {
  constructor(given: { page: number }) {
    void given.page;
  }
}

const explicit = (...key: NonNullable<Extract<ResponseCachePolicy['key'], readonly unknown[]>>) =>
  CachePage({ key: [byRoute(), byParams(), ...key] });

async function check(controller: Type): Promise<void> {
  const app = await Test.createTestingModule({
    imports: [DiscoveryModule, TieredCacheModule.forRoot()],
    controllers: [controller],
  }).compile();
  try {
    checkPageParameters(app.get(DiscoveryService), app.get(MetadataScanner), new ResponseCachePolicies());
  } finally {
    await app.close();
  }
}

afterEach(() => {
  delete (globalThis as { classValidatorMetadataStorage?: unknown }).classValidatorMetadataStorage;
});

describe('a boot with a cached route', () => {
  it('fails on a parameter that its key leaves out, and names route and parameter', async () => {
    @Controller('books')
    class BooksController {
      @explicit(byQuery(['q']))
      @Get('all')
      list(@Query('q') q: string, @Query('page') page: string) {
        return [q, page];
      }
    }
    await expect(check(BooksController)).rejects.toMatchObject({
      code: 'unkeyed_parameter',
      message: expect.stringContaining(
        'BooksController.list (GET books/all) declares the query parameter "page"',
      ) as string,
    });
  });

  it.each([
    ['metadata of its properties', PageDto, 'page'],
    ['its fields', FieldsDto, 'limit'],
    ['its documentation', DocumentedDto, 'cursor'],
    ['its validation', ValidatedDto, 'offset'],
  ])('fails on a parameter of a DTO, known by %s', async (_how, dto, parameter) => {
    (globalThis as { classValidatorMetadataStorage?: unknown }).classValidatorMetadataStorage = {
      getTargetValidationMetadatas: (target: unknown) => (target === ValidatedDto ? [{ propertyName: 'offset' }] : []),
    };
    @Controller('books')
    class BooksController {
      list(query: object) {
        return query;
      }
    }
    // As the compiler would write it for `@Query() query: Dto`.
    const descriptor = Object.getOwnPropertyDescriptor(BooksController.prototype, 'list') as PropertyDescriptor;
    Query()(BooksController.prototype, 'list', 0);
    Reflect.defineMetadata('design:paramtypes', [dto], BooksController.prototype, 'list');
    for (const decorate of [Get(), explicit(byQuery(['q']))]) decorate(BooksController.prototype, 'list', descriptor);
    await expect(check(BooksController)).rejects.toThrow(`"${parameter}"`);
  });

  it('finds the class of a parameter in what the compiler emits', async () => {
    @Controller('books')
    class BooksController {
      @explicit(byQuery(['q']))
      @Get()
      list(@Query() query: FieldsDto) {
        return query;
      }
    }
    await expect(check(BooksController)).rejects.toThrow('"limit"');
  });

  it('is content with keys that have all of it, and with what is left out on purpose', async () => {
    @Controller('books')
    class BooksController {
      @CachePage()
      @Get('all')
      all(@Query('page') page: string) {
        return page;
      }
      @explicit(byQuery(['q']), byPagination('page'))
      @Get('pages')
      pages(@Query('page') page: string, @Query('q') q: string) {
        return [page, q];
      }
      @explicit(byQuery(['q'], { ignore: ['utm'] }))
      @Get('ignored')
      ignored(@Query('utm') utm: string) {
        return utm;
      }
      @explicit(byQuery(['page']))
      @Get('picky')
      picky(@Query() query: PickyDto) {
        return query;
      }
      @Get('uncached')
      uncached(@Query('page') page: string) {
        return page;
      }
      @explicit(byQuery([]))
      @Post()
      create(@Query('page') page: string) {
        return page;
      }
    }
    await expect(check(BooksController)).resolves.toBeUndefined();
  });

  it('fails on a key that has nothing of the query', async () => {
    @Controller('books')
    class BooksController {
      @explicit()
      @Get()
      list(@Query('cursor') cursor: string) {
        return cursor;
      }
    }
    await expect(check(BooksController)).rejects.toThrow('"cursor"');
  });

  it('finds inherited routes', async () => {
    class Base {
      @Get()
      list(@Query('page') page: string) {
        return page;
      }
    }
    @explicit(byQuery(['q']))
    @Controller('books')
    class BooksController extends Base {}
    await expect(check(BooksController)).rejects.toThrow('BooksController.list');
  });

  it('fails on an unknown policy', async () => {
    @Controller('books')
    class BooksController {
      @CachePage('catalogue')
      @Get()
      list() {
        return [];
      }
    }
    await expect(check(BooksController)).rejects.toMatchObject({ code: 'unknown_policy' });
  });
});
