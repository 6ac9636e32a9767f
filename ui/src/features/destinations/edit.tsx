'use client'
/** A new destination: first the kind of back end, then the form that its schema describes. */
import { useSearchParams } from 'next/navigation'
import { Suspense } from 'react'
import { ButtonLink } from '@/components/button'
import { Empty, Skeleton, Until } from '@/components/feedback'
import { Icon } from '@/components/icons'
import { Link } from '@/components/link'
import { PageHead } from '@/components/page'
import { useDestinationTypes } from '@/lib/queries'
import { Catalogue } from './catalogue'
import { DestinationForm } from './form'

export function EditPage() {
  return (
    <Suspense fallback={<Skeleton />}>
      <ByType />
    </Suspense>
  )
}

function ByType() {
  const wanted = useSearchParams().get('type') ?? ''
  const query = useDestinationTypes()
  const type = query.data?.items.find((known) => known.type === wanted)
  return (
    <>
      <nav aria-label="Where you are" className="mb-3 flex flex-wrap items-center gap-1.5 text-sm text-muted">
        <Link href="/destinations/" className="rounded hover:text-text hover:underline">
          Destinations
        </Link>
        {wanted && (
          <>
            <Icon name="chevron" className="size-3.5" />
            <Link href="/destinations/edit/" className="rounded hover:text-text hover:underline">
              New
            </Link>
          </>
        )}
      </nav>
      {wanted === '' ? (
        <>
          <PageHead title="New destination" sentence="Choose the kind of back end that takes the telemetry." />
          <Catalogue />
        </>
      ) : (
        <Until query={query}>
          {type ? (
            <DestinationForm key={type.type} type={type} />
          ) : (
            <Empty
              isPage
              icon="search"
              title="There is no such kind of destination"
              action={<ButtonLink href="/destinations/edit/">Show all kinds</ButtonLink>}
            >
              The catalogue of this version has no {wanted}.
            </Empty>
          )}
        </Until>
      )}
    </>
  )
}
