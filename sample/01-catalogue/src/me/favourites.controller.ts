import { Controller, Get, NotFoundException, Param, ParseIntPipe, Put, Req, UseGuards } from '@nestjs/common';
import { byRoute, byUser, CachePage, CacheService, type RequestView } from 'nestjs-tiered-cache';
import { Gazetteer } from '../places/gazetteer.js';
import type { Place } from '../places/place.js';
import { UserGuard, type User, type UserRequest } from './user.guard.js';

/** What only its owner may see: each user has a response of his own, and no shared cache on the way may keep it (`private`). */
@Controller('me/favourites')
@UseGuards(UserGuard)
export class FavouritesController {
  private readonly favourites = new Map<string, Set<number>>();

  constructor(
    private readonly gazetteer: Gazetteer,
    private readonly cache: CacheService,
  ) {}

  @Get()
  @CachePage({
    ttl: '5m',
    key: [byRoute(), byUser()],
    tags: (_: unknown, view: RequestView) => [tagOf(view.user as User)],
  })
  list(@Req() { user }: UserRequest): Place[] {
    const ids = this.favourites.get((user as User).id) ?? [];
    return [...ids].map((id) => this.gazetteer.find(id)).filter((place) => place !== undefined);
  }

  @Put(':id')
  async add(@Param('id', ParseIntPipe) id: number, @Req() { user }: UserRequest): Promise<{ favourites: number }> {
    if (this.gazetteer.find(id) === undefined) throw new NotFoundException(`no place has the id ${id}`);
    const { id: userId } = user as User;
    const ids = this.favourites.get(userId) ?? new Set();
    this.favourites.set(userId, ids.add(id));
    await this.cache.invalidateTags([tagOf({ id: userId })]);
    return { favourites: ids.size };
  }
}

function tagOf({ id }: User): string {
  return `favourites:${id}`;
}
