import { defineEntity } from 'nestjs-tiered-cache';
import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

export const CATEGORIES = ['business', 'data', 'design', 'languages'] as const;
export const LEVELS = ['easy', 'medium', 'hard'] as const;

@Entity()
export class Course {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column('text')
  title!: string;

  @Column('text')
  category!: string;

  @Column('text')
  level!: string;

  /** In cents. */
  @Column('int')
  price!: number;
}

/** By what lists are filtered and sorted: a new price goes by the pages that show it, a new title by all pages of the lists it is in. */
export const CourseLists = defineEntity('Course', {
  filters: [[], ['category'], ['level'], ['category', 'level']],
  order: ['title'],
});
