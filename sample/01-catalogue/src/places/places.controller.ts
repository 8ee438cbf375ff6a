import { Controller, Get, NotFoundException, Param, ParseIntPipe, Query } from '@nestjs/common';
import { InjectCache, type CacheService } from 'nestjs-tiered-cache';
import { answer, Answer, answerMany } from '../answers/answer.js';
import { Gazetteer } from './gazetteer.js';
import { PlaceDetails } from './place-detail.service.js';
import { placeIds, placeQuery } from './place-query.js';
import { PlaceSearch } from './place-search.service.js';
import type { Place, PlaceDetail, PlacePage } from './place.js';

@Controller('places')
export class PlacesController {
  constructor(
    @InjectCache('search') private readonly searches: CacheService,
    @InjectCache('places') private readonly places: CacheService,
    private readonly engine: PlaceSearch,
    private readonly details: PlaceDetails,
    private readonly gazetteer: Gazetteer,
  ) {}

  @Get('search')
  search(@Query() parameters: Record<string, string>): Promise<Answer<PlacePage>> {
    const query = placeQuery(parameters);
    return answer(this.searches, ['search', { ...query }], () => this.engine.search(query));
  }

  @Get(':id')
  detail(@Param('id', ParseIntPipe) id: number): Promise<Answer<PlaceDetail>> {
    return answer(this.places, ['detail', id], () => {
      const detail = this.details.detail(id);
      // What a loader throws reaches the caller and is not stored.
      if (detail === undefined) throw new NotFoundException(`no place has the id ${id}`);
      return detail;
    });
  }

  @Get()
  async many(@Query('ids') ids: unknown): Promise<Answer<Place[]>> {
    const { value, tier, cacheMs } = await answerMany(this.places, placeIds(ids), (missing) => this.load(missing));
    return new Answer([...value.values()], tier, cacheMs);
  }

  /** Ids that do not exist are left out: then they are not stored either. */
  private load(ids: readonly number[]): Map<number, Place> {
    const places = ids.map((id) => this.gazetteer.find(id)).filter((place) => place !== undefined);
    return new Map(places.map((place) => [place.id, place]));
  }
}
