import { Module } from '@nestjs/common';
import { PlacesModule } from '../places/places.module.js';
import { FavouritesController } from './favourites.controller.js';

@Module({ imports: [PlacesModule], controllers: [FavouritesController] })
export class MeModule {}
