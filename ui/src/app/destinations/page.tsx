import { DestinationsPage } from '@/features/destinations/page'

export const metadata = { title: 'Destinations' }

export default function Page() {
  return <DestinationsPage />
}
