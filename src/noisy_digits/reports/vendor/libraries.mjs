// What compare.js uses: only this, and what it needs, goes into libraries.min.js.
export { dot, line, plot, pointer, ruleX, tip } from "@observablehq/plot";
export {
  columnFilteringFeature,
  constructTable,
  createFilteredRowModel,
  createSortedRowModel,
  rowSortingFeature,
  sortFn_basic,
  tableFeatures,
} from "@tanstack/table-core";
export { storeReactivityBindings } from "@tanstack/table-core/store-reactivity-bindings";
