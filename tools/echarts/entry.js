// What the report needs of Apache ECharts, and nothing that writes HTML but the
// tooltip, which is only ever given elements.
import { use } from 'echarts/core';
import { CustomChart, LineChart } from 'echarts/charts';
import {
  DataZoomComponent, GridComponent, LegendComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent,
} from 'echarts/components';
import { CanvasRenderer } from 'echarts/renderers';

use([
  CustomChart, LineChart, DataZoomComponent, GridComponent, LegendComponent, MarkAreaComponent, MarkLineComponent,
  TooltipComponent, CanvasRenderer,
]);

export { connect, getInstanceByDom, init, version } from 'echarts/core';
