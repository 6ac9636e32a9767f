import { SourcesPage } from '@/features/sources/page'

export const metadata = { title: 'Applications' }

export default function Page() {
  return <SourcesPage />
}
