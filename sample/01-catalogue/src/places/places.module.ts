import { Module } from '@nestjs/common';
import { TieredCacheModule } from 'nestjs-tiered-cache';
import { Gazetteer } from './gazetteer.js';
import { PlaceDetails } from './place-detail.service.js';
import { PlaceSearch } from './place-search.service.js';
import { PlacesController } from './places.controller.js';

const caches = TieredCacheModule.forFeature([{ name: 'places', ttl: '1h' }]);

@Module({
  imports: [caches],
  controllers: [PlacesController],
  providers: [Gazetteer, PlaceSearch, PlaceDetails],
  exports: [caches, Gazetteer],
})
export class PlacesModule {}
