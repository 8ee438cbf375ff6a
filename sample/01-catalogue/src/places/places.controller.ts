import { Controller, Get, NotFoundException, Param, ParseIntPipe, Query } from '@nestjs/common';
import { byParams, byQuery, byRoute, CachePage, InjectCache, type CacheService } from 'nestjs-tiered-cache';
import { Answer, answerMany } from '../answers/answer.js';
import { Gazetteer } from './gazetteer.js';
import { PlaceDetails } from './place-detail.service.js';
import { placeIds, placeQuery, SEARCH_PARAMETERS } from './place-query.js';
import { PlaceSearch } from './place-search.service.js';
import type { Place, PlaceDetail, PlacePage } from './place.js';

@Controller('places')
export class PlacesController {
  constructor(
    @InjectCache('places') private readonly places: CacheService,
    private readonly engine: PlaceSearch,
    private readonly details: PlaceDetails,
    private readonly gazetteer: Gazetteer,
  ) {}

  /** The response is kept as it was sent; parameters that are not named here never reach the handler, and cannot split the cache. */
  @Get('search')
  @CachePage({ ttl: '10m', key: [byRoute(), byQuery(SEARCH_PARAMETERS)] })
  search(@Query() parameters: Record<string, string>): PlacePage {
    return this.engine.search(placeQuery(parameters));
  }

  @Get(':id')
  @CachePage({ ttl: '1h', key: [byRoute(), byParams()] })
  detail(@Param('id', ParseIntPipe) id: number): PlaceDetail {
    const detail = this.details.detail(id);
    // An error is not stored.
    if (detail === undefined) throw new NotFoundException(`no place has the id ${id}`);
    return detail;
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
